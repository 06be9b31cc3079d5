/** examples/postgres, with its own pg_hba.conf on a real Postgres that has TLS from Purser. */
import { chmod, chown, cp, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseEnv } from 'node:util'
import { Client } from 'pg'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { sdkImport } from '../support/built-sdk.ts'
import { cli } from '../support/cli.ts'
import { type Dev, startDev } from '../support/dev.ts'
import { findBinaries } from '../../src/cli/demo/postgres/binaries.ts'
import type { OwnPostgres } from '../support/postgres.ts'
import { startTestServer } from '../support/test-server.ts'
import { runShell } from '../support/shell.ts'

vi.setConfig({ testTimeout: 90_000, hookTimeout: 90_000 })

const root = fileURLToPath(new URL('../..', import.meta.url))
let dev: Dev
let dir: string

beforeAll(async () => {
  dev = await startDev()
  dir = await mkdtemp(join(tmpdir(), 'purser-pg-example-'))
  await chmod(dir, 0o755)
})
afterAll(async () => {
  await dev.stop()
  dev.forget()
  await rm(dir, { recursive: true, force: true })
})

const environment = async (name: string): Promise<Record<string, string>> => ({
  ...(parseEnv(await readFile(join(dev.dataDir, `dev/${name}.env`), 'utf8')) as Record<string, string>),
})

/** A Postgres that is this workload, configured as the README says. */
async function startAs(name: string): Promise<OwnPostgres> {
  const out = join(dir, name)
  const fetched = await cli(['credentials', '--out', out], { env: await environment(name) })
  expect(fetched.code).toBe(0)
  await cp(join(root, 'examples/postgres/pg_hba.conf'), join(out, 'pg_hba.conf'))
  const { as } = await findBinaries()
  if (as.uid !== undefined && as.gid !== undefined) {
    for (const file of ['', 'tls.crt', 'tls.key', 'ca.crt', 'pg_hba.conf']) await chown(join(out, file), as.uid, as.gid)
  }
  const server = await startTestServer({
    settings: {
      ssl: 'on',
      ssl_cert_file: join(out, 'tls.crt'),
      ssl_key_file: join(out, 'tls.key'),
      ssl_ca_file: join(out, 'ca.crt'),
      hba_file: join(out, 'pg_hba.conf'),
    },
  })
  const ca = await readFile(join(out, 'ca.crt'), 'utf8')
  // An administrator with a certificate of the trust domain. The host does not matter to a SPIFFE ID.
  const [cert, key] = await Promise.all(['tls.crt', 'tls.key'].map((file) => readFile(join(out, file), 'utf8')))
  const ssl = { ca, checkServerIdentity: () => undefined, ...(cert && { cert }), ...(key && { key }) }
  const admin = new Client({ connectionString: server.url, ssl })
  await admin.connect()
  await admin.query("create role app login password 'secret'")
  await admin.end()
  return server
}

const asApp = ({ url }: OwnPostgres): string => url.replace('postgres@', 'app:secret@')

const runClient = (url: string) =>
  runShell(
    'env',
    [
      `DATABASE_URL=${url}`,
      'node',
      '--import',
      sdkImport(),
      `--env-file=${dev.dataDir}/dev/web.env`,
      'examples/postgres/client.js',
    ],
    { cwd: root },
  )

describe('a database with the SPIFFE ID that the client expects', () => {
  let server: OwnPostgres
  beforeAll(async () => {
    server = await startAs('orders')
  })
  afterAll(() => server.stop())

  it('accepts a workload with its certificate and password', async () => {
    const { code, out, err } = await runClient(asApp(server))
    expect({ code, err }).toEqual({ code: 0, err: '' })
    expect(out).toBe("{ role: 'app', tls: 'TLSv1.3', ours: true }\n")
  })

  it.each([
    ['sslmode=disable'],
    ['sslmode=no-verify'],
    ['sslmode=require'],
    ['ssl=0'],
    ['sslrootcert=/dev/null'],
    ['application_name=x&sslmode=no-verify'],
    ['SSLMODE=no-verify&sslmode=no-verify'],
  ])(
    'gets no connection from a client whose DATABASE_URL says %s: in pg that would override the SPIFFE ID',
    async (query) => {
      const { code, out, err } = await runClient(`${asApp(server)}?${query}`)
      expect({ code, out }).toEqual({ code: 1, out: '' })
      expect(err).toContain('DATABASE_URL sets ')
      expect(err).not.toContain('secret')
    },
  )

  it('gets a connection with other settings in DATABASE_URL', async () => {
    expect(await runClient(`${asApp(server)}?application_name=web`)).toMatchObject({ code: 0, err: '' })
  })

  it.each([
    ['no certificate', { rejectUnauthorized: false }, /requires a valid client certificate|certificate required/],
    ['no TLS', undefined, /pg_hba.conf rejects connection/],
  ])('refuses the password with %s', async (_, ssl, words) => {
    const client = new Client({ connectionString: asApp(server), ...(ssl && { ssl }) })
    client.on('error', () => undefined)
    await expect(client.connect()).rejects.toThrow(words)
    await client.end().catch(() => undefined)
  })
})

describe('a database that is another workload', () => {
  it('gets no connection', async () => {
    const server = await startAs('web')
    try {
      const { code, err } = await runClient(asApp(server))
      expect(code).not.toBe(0)
      expect(err).toContain('bad_peer')
    } finally {
      await server.stop()
    }
  })
})
