/** A server beside a tenth of the largest sizes that docs/performance.md shows, and a log of 50,000 entries. Nothing is timed. */
import { X509Certificate } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client } from 'pg'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { fillTables } from '../../../bench/fill.ts'
import { audience, newCsr, token } from '../../../bench/issuing.ts'
import { ask } from '../../../bench/log/ask.ts'
import { fillLog } from '../../../bench/log/fill.ts'
import { questionCases } from '../../../bench/log/questions.ts'
import { childrenOf, freeDatabase, freePort } from '../../../bench/processes.ts'
import { register } from '../../../bench/register.ts'
import { megabytesOf } from '../../../bench/scale.ts'
import { httpsFetch } from '../../support/https-fetch.ts'
import { type OwnPostgres, startOwnPostgres } from '../../support/postgres.ts'
import { spawnPurser } from '../../support/process.ts'

const dataDir = mkdtempSync(join(tmpdir(), 'purser-scale-'))
let postgres: OwnPostgres

beforeAll(async () => {
  postgres = await startOwnPostgres()
})
afterAll(async () => {
  await postgres.stop()
  rmSync(dataDir, { recursive: true, force: true })
})

/** The members of a reply that this test reads. */
type Reply = {
  x509: { certificateChain: string }
  accessToken: { token: string; id: string }
  data: Record<string, string>
}

/** How often the log was read by an index and as a whole, as PostgreSQL counts it. */
async function scansOfLog(client: Client): Promise<{ byIndex: number; whole: number }> {
  const { rows } = await client.query<{ byIndex: number; whole: number }>(
    `select idx_scan::int as "byIndex", seq_scan::int as whole from pg_stat_user_tables where relname = 'log_entry'`,
  )
  return rows[0] ?? { byIndex: 0, whole: 0 }
}

it('issues, reads, revokes and searches beside 10,000 entries and 100,000 secrets and revocations', async () => {
  const port = await freePort()
  const url = await freeDatabase(postgres.url, 'scale')
  const env = {
    PURSER_TRUST_DOMAIN: 'bench.example',
    PURSER_PUBLIC_URL: audience,
    PURSER_LISTEN: `127.0.0.1:${port}`,
    PURSER_DATA_DIR: dataDir,
    DATABASE_URL: url,
    PURSER_MIGRATE: 'auto',
    PURSER_ROOT_KEY: Buffer.alloc(32, 1).toString('base64'),
  }
  const registration = spawnPurser(['serve'], env)
  await registration.says('server.ready')
  const roots = readFileSync(join(dataDir, 'ca.pem'), 'utf8')
  const admin = await register({ port, roots, dataDir })
  registration.child.kill('SIGTERM')
  await registration.ended
  await fillTables(url, { entries: 10_000, secrets: 100_000, revoked: 100_000 })
  // A search reads the newest 20,000 entries first. Where they are most of the log, it reads the table as a whole.
  const shape = await fillLog(url, 50_000)

  const server = spawnPurser(['serve'], { ...env, PURSER_WORKERS: '2' })
  await server.says('server.ready', 2)
  async function call(method: string, path: string, bearer?: string, body?: unknown) {
    const reply = await httpsFetch(`https://localhost:${port}${path}`, {
      method,
      ca: roots,
      headers: {
        ...(bearer !== undefined && { authorization: `Bearer ${bearer}` }),
        ...(body !== undefined && { 'content-type': 'application/json' }),
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    })
    const json: Reply = JSON.parse(await reply.text())
    return { status: reply.status, body: json }
  }

  const proof = { kind: 'jwt', token: await token() }
  const issued = await call('POST', '/api/v1/credentials', undefined, {
    proof,
    x509: { csr: newCsr() },
    accessToken: {},
  })
  expect(issued.status).toBe(200)
  const certificate = new X509Certificate(issued.body.x509.certificateChain)
  expect(certificate.subjectAltName).toContain('URI:spiffe://bench.example/bench/web')
  // More than 20,000 certificates are revoked, so this one names a shard of its CRL.
  expect(certificate.raw.toString('latin1')).toMatch(/\/crl\/[\w-]+\/\d+/)
  const bearer = issued.body.accessToken.token
  const read = () => call('GET', '/api/v1/secrets/prod/db-7/password', bearer)
  expect(await read()).toMatchObject({ status: 200, body: { data: { password: 'x'.repeat(32) } } })

  const revocation = await call('POST', '/api/v1/revocations', admin, { accessToken: issued.body.accessToken.id })
  expect(revocation.status).toBe(201)
  // Each has its own connection, so that both workers answer some.
  const replies = await Promise.all(Array.from({ length: 20 }, read))
  expect(replies.map(({ status }) => status)).toEqual(replies.map(() => 401))

  const client = new Client({ connectionString: url })
  await client.connect()
  const before = await scansOfLog(client)
  for (const name of [
    'by SPIFFE ID, a usual one',
    'by serial number',
    'by session',
    'by action in ten minutes',
    'by path of a secret',
  ]) {
    const question = questionCases(shape).find((questionCase) => questionCase.name === name)
    if (!question) throw new Error(`the bench has no question ${name}`)
    await ask({ port, roots, admin }, { ...question, max: 2 })
  }
  // Connections report their reads some seconds later.
  await expect.poll(async () => (await scansOfLog(client)).byIndex).toBeGreaterThan(before.byIndex + 10)
  expect((await scansOfLog(client)).whole).toBe(before.whole)
  await client.end()

  const workers = childrenOf(server.child.pid ?? 0)
  expect(workers.length).toBe(2)
  for (const pid of workers) expect(megabytesOf([pid])).toBeLessThan(500)
  server.child.kill('SIGTERM')
  expect((await server.ended).code).toBe(0)
}, 300_000)
