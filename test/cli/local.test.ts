/** The verbs that need no server: root key, schema, and a new bootstrap token on the server's host. */
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, inject, it, onTestFinished } from 'vitest'
import { cli } from '../support/cli.ts'
import { audience, startPurser, trustDomain } from '../support/purser.ts'
import { cloneDatabase } from '../support/template.ts'

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'purser-cli-'))
  onTestFinished(() => rmSync(path, { recursive: true, force: true }))
  return path
}

/** A database without any schema. */
const emptyDatabase = () => cloneDatabase(inject('postgres').url, 'template0')

describe('root-key generate', () => {
  it('writes 32 bytes to stdout, new ones each time', async () => {
    const [first, second] = [await cli(['root-key', 'generate']), await cli(['root-key', 'generate'])]
    expect(Buffer.from(first.out.trim(), 'base64')).toHaveLength(32)
    expect(second.out).not.toBe(first.out)
  })

  it('writes a file that only its owner can read, and never replaces a file', async () => {
    const path = join(folder(), 'root-key')
    const generated = await cli(['root-key', 'generate', '--out', path])
    expect(generated).toMatchObject({ code: 0, out: '' })
    expect(statSync(path).mode & 0o777).toBe(0o600)
    const key = readFileSync(path, 'utf8')
    expect(generated.err).not.toContain(key.trim())

    const repeat = await cli(['root-key', 'generate', '--out', path])
    expect(repeat.code).toBe(2)
    expect(repeat.err).toContain('it exists')
    expect(readFileSync(path, 'utf8')).toBe(key)
  })

  it('names the fault of the folder', async () => {
    const { code, err } = await cli(['root-key', 'generate', '--out', '/nonexistent/key'])
    expect(code).toBe(2)
    expect(err).toContain('ENOENT')
  })
})

describe('migrate', () => {
  it('names missing migrations, applies them, and has nothing left to do', async () => {
    const { url, drop } = await emptyDatabase()
    onTestFinished(drop)
    const run = (...argv: string[]) => cli(['migrate', ...argv], { env: { DATABASE_URL: url } })
    expect((await run('--dry-run')).out).toContain('missing 001-foundation\nmissing 002-secrets\n')
    expect((await run('--dry-run', '-o', 'json')).out).toContain('"002-secrets"')
    expect((await run()).out).toContain('applied 001-foundation\napplied 002-secrets\n')
    expect(await run()).toEqual({ code: 0, out: 'the schema is up to date\n', err: '' })
  })

  it('ends with 5 without a database, and does not print its password', async () => {
    const { code, err } = await cli(['migrate'], { env: { DATABASE_URL: 'postgres://a:hunter2@127.0.0.1:1/x' } })
    expect(code).toBe(5)
    expect(err).not.toContain('hunter2')
  })
})

describe('bootstrap --reissue', () => {
  it('needs the root key, ends the earlier token, is recorded, and its token works', async () => {
    const first = await startPurser({ store: 'postgres', tls: true })
    onTestFinished(() => first.stop())
    const url = first.config.database.kind === 'postgres' ? first.config.database.url.reveal() : ''
    const dir = folder()
    const env = {
      PURSER_TRUST_DOMAIN: trustDomain,
      PURSER_PUBLIC_URL: audience,
      DATABASE_URL: url,
      PURSER_DATA_DIR: dir,
      PURSER_ROOT_KEY: first.config.rootKey.kind === 'value' ? first.config.rootKey.value.reveal() : '',
    }
    const path = join(dir, 'bootstrap-token')

    const other = { ...env, PURSER_ROOT_KEY: Buffer.alloc(32, 1).toString('base64') }
    expect((await cli(['bootstrap', '--reissue'], { env: other })).err).toContain('root key')

    const reissued = await cli(['bootstrap', '--reissue', '--reason', 'lost'], { env })
    expect(reissued).toMatchObject({ code: 0, out: '', err: expect.stringContaining(path) })
    expect(statSync(path).mode & 0o777).toBe(0o600)
    const earlier = readFileSync(path, 'utf8').trim()
    expect((await cli(['bootstrap', '--reissue'], { env })).code).toBe(0)
    expect((await first.call('POST', '/api/v1/bootstrap', undefined, { token: earlier })).status).toBe(401)

    const client = { PURSER_ADDR: first.url, PURSER_CA_FILE: join(first.dataDir, 'ca.pem'), PURSER_DATA_DIR: dir }
    const exchanged = await cli(['bootstrap'], { env: client })
    expect(exchanged).toMatchObject({ code: 0, out: expect.stringMatching(/^purser_api_[\w-]{43}\n$/) })
    expect(exchanged.err).not.toContain('purser_api_')
    const entries = await first.call('GET', '/api/v1/audit/entries?action=bootstrap.create', undefined, {
      token: exchanged.out.trim(),
    })
    expect(entries.status).toBe(200)
    expect(entries.text).toContain('"note":"lost"')
  })

  it('of a database without a first start is refused', async () => {
    const { url, drop } = await emptyDatabase()
    onTestFinished(drop)
    const dir = folder()
    const env = {
      PURSER_TRUST_DOMAIN: trustDomain,
      PURSER_PUBLIC_URL: audience,
      DATABASE_URL: url,
      PURSER_DATA_DIR: dir,
      PURSER_ROOT_KEY: Buffer.alloc(32, 1).toString('base64'),
    }
    const { code, err } = await cli(['bootstrap', '--reissue'], { env })
    expect(code).toBe(2)
    expect(err).toContain('purser serve')
  })
})
