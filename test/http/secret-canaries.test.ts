/**
 * Values that are written, read, rotated, refused, and mistyped in every place that takes text: none of them is
 * found, in any encoding, in a dump of Postgres, its data directory with the write-ahead log and its own log of every
 * statement, in the server's log, metrics, refusals, the audit export, stored idempotency outcomes, temporary files
 * or any process's arguments. `Purser-Reason` and `User-Agent` are stored by design, so values are not put there;
 * tokens and keys are masked there as well (canaries.test.ts).
 */
import { randomBytes } from 'node:crypto'
import { readFileSync, readdirSync, statSync } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { encodingsOf, hashesOf } from '../support/encodings.ts'
import { type Issuer, createIssuer, registerLab } from '../support/issuer.ts'
import type { OwnPostgres } from '../support/postgres.ts'
import { startTestServer } from '../support/test-server.ts'
import { type TestPurser, startPurser } from '../support/purser.ts'
import { ask } from '../support/raw-http.ts'

const many = '100000'
/**
 * The common beginning of all values. It is searched in every encoding, because a search for every value would take
 * minutes.
 */
const marker = `canary${randomBytes(12).toString('hex')}`
/** `.ci/run` has a hundred of them. */
const count = Number(process.env['PURSER_TEST_CANARIES'] ?? 20)
const values = Array.from({ length: count }, (_, n) => `${marker}${n}x${randomBytes(8).toString('hex')}`)
const needles = [...encodingsOf(marker)]

let postgres: OwnPostgres
let purser: TestPurser
let issuer: Issuer
let dataDir = ''
const startedAt = Date.now()
/** Replies other than permitted reads of a value. */
const replies: string[] = []
/** The log of Postgres: every statement with its parameters. */
const statements: string[] = []

beforeAll(async () => {
  postgres = await startTestServer({
    settings: { log_statement: 'all', log_min_duration_statement: '0' },
    onLog: (text) => statements.push(text),
  })
  dataDir = await mkdtemp(join(tmpdir(), 'purser-test-'))
  const env = {
    PURSER_MIGRATE: 'auto',
    PURSER_LIMIT_REFUSALS_PER_MINUTE: many,
    PURSER_LIMIT_ADDRESS_PER_SECOND: many,
    PURSER_LIMIT_ATTESTOR_PER_SECOND: many,
  }
  const existing = { url: postgres.url, rootKey: randomBytes(32).toString('base64'), dataDir, admin: '' }
  purser = await startPurser({ env, existing })
  issuer = await createIssuer()
  await registerLab(purser, issuer)
  await purser.asAdmin('POST', '/api/v1/workloads', {
    name: 'shop',
    attestor: 'lab',
    match: { 'oidc:sub': 'shop' },
    spiffeId: 'spiffe://example.org/lab/shop',
    grants: { secrets: [{ paths: ['prod/**'], actions: ['read', 'list', 'watch'] }] },
  })

  await useEach()

  await mistypeEach()

  await postgres.restart()
}, 300_000)
afterAll(async () => {
  await purser.stop()
  await postgres.stop()
  await rm(dataDir, { recursive: true, force: true })
})

const proof = async () => ({ kind: 'jwt', token: await issuer.token({ sub: 'shop' }) })
const recordReply = async (answer: Promise<{ text: string }>): Promise<void> => void replies.push((await answer).text)

/** Every value is a version of a secret; each is read by a workload and by an operator. */
async function useEach(): Promise<void> {
  const attested = await purser.call('POST', '/api/v1/credentials', { proof: await proof(), accessToken: {} })
  const { token } = attested.body['accessToken'] as { token: string }
  const versions = new Map<string, number>()
  for (const [n, value] of values.entries()) {
    const path = `prod/app-${n % 10}/password`
    const version = versions.get(path) ?? 0
    const send = n % 3 === 2 && version > 0 ? 'PATCH' : 'PUT'
    const answer = await purser.asAdmin(
      send,
      `/api/v1/secrets/${path}`,
      { data: { value, [`k${n}`]: [value] } },
      { 'if-match': `"${version}"` },
    )
    versions.set(path, Number(answer.body['version']))
    replies.push(answer.text)
    const reading = await purser.call('GET', `/api/v1/secrets/${path}`, undefined, { token })
    expect(reading.text).toContain(value)
    const reason = { 'purser-reason': 'a look' }
    expect((await purser.asAdmin('GET', `/api/v1/secrets/${path}`, undefined, reason)).text).toContain(value)
    const inOne = await purser.call('POST', '/api/v1/credentials', { proof: await proof(), secrets: [path] })
    expect(inOne.text).toContain(value)
    await recordReply(purser.asAdmin('GET', `/api/v1/secrets/${path}:versions`))
    await recordReply(purser.asAdmin('GET', `/api/v1/secrets/${path}:metadata`))
  }
  for (const [n, value] of values.entries()) {
    const path = `/api/v1/secrets/prod/rotated-${n}`
    await purser.asAdmin('PUT', path, { data: { value: 'first' } }, { 'if-match': '"0"' })
    const rotate = { data: { value }, deadlineSeconds: 1, onDeadline: 'retire' }
    await recordReply(purser.asAdmin('POST', `${path}:rotate`, rotate, { 'idempotency-key': `rotation-${n}` }))
    await recordReply(
      purser.call('POST', `${path}:rotate`, rotate, {
        token: purser.admin,
        headers: { 'idempotency-key': `rotation-${n}` },
      }),
    )
  }
  await expectRotated()
  for (const n of values.keys()) {
    const path = `/api/v1/secrets/prod/rotated-${n}`
    await recordReply(purser.call('POST', `${path}:rollback`, { toVersion: 1 }, { token: purser.admin }))
    await recordReply(purser.asAdmin('GET', `${path}:rotation`))
    await recordReply(purser.asAdmin('GET', `${path}:consumers`))
  }
  await purser.runJobs()
  await purser.asAdmin('POST', '/api/v1/secrets/prod/app-0/password:destroy', { all: true })
  await purser.asAdmin('DELETE', '/api/v1/secrets/prod/app-1/password', undefined, {
    'if-match': `"${String(versions.get('prod/app-1/password'))}"`,
  })
}

/** Every rotation set its value live, and completed. */
async function expectRotated(): Promise<void> {
  for (let tries = 0; tries < 60; tries++) {
    await purser.runJobs()
    const rows: { state: string }[] = await purser.knex('rotation').select('state')
    if (rows.length === values.length && rows.every(({ state }) => state === 'retired')) return
    await setTimeout(250)
  }
  throw new Error('rotations did not end')
}

/** Each value, sent by mistake in each place, as an operator, as a workload and as an anonymous caller. */
async function mistypeEach(): Promise<void> {
  const attested = await purser.call('POST', '/api/v1/credentials', { proof: await proof(), accessToken: {} })
  const { token } = attested.body['accessToken'] as { token: string }
  for (const [n, value] of values.entries()) {
    const secret = `/api/v1/secrets/prod/app-${(n % 8) + 2}/password`
    for (const [method, path, body] of [
      ['GET', `/api/v1/secrets/${value}`],
      ['GET', `/api/v1/secrets/prod/${value}`],
      ['GET', `/api/v1/secrets/prod/app-2/password:${value}`],
      ['POST', `${secret}:${value}`],
      ['GET', `${secret}?version=${value}`],
      ['GET', `${secret}?${value}=1`],
      ['GET', `/api/v1/secrets?prefix=${value}&cursor=${value}`],
      ['PUT', `/api/v1/secrets/prod/${value.toUpperCase()}`, { data: { value } }],
      ['PUT', secret, { data: value }],
      ['PUT', secret, { data: { value }, expiresAt: value }],
      ['PUT', secret, { [value]: { value } }],
      ['PUT', secret, value],
      ['PATCH', secret, { data: { value } }],
      ['POST', `${secret}:destroy`, { versions: [value] }],
      ['POST', `${secret}:undelete`, { [value]: [1] }],
      ['PUT', `${secret}:metadata`, { labels: { [value.toUpperCase()]: 'x' }, managedBy: value, nope: value }],
      ['POST', `${secret}:ack`, { version: value }],
      ['POST', '/api/v1/secrets:read', { secrets: [`prod/${value}`, { path: value, version: value }] }],
      ['POST', '/api/v1/secrets:read', { secrets: [`prod/${value}`] }],
      ['POST', '/api/v1/credentials', { proof: await proof(), secrets: [`other/${value}`] }],
      ['POST', '/api/v1/credentials', { proof: await proof(), secrets: [{ path: value, optional: true }] }],
      ['POST', '/api/v1/credentials', { proof: { kind: 'jwt', token: value }, workload: value }],
      [
        'POST',
        '/api/v1/workloads',
        { name: value, grants: { secrets: [{ paths: [`{${value}}`], actions: [value] }] } },
      ],
      ['POST', `${secret}:rotate`, { data: value, deadlineSeconds: value }],
      ['POST', `${secret}:rotate`, { [value]: 1 }],
      ['POST', `${secret}:rollback`, { toVersion: value }],
      ['PUT', `${secret}:rotation`, { rotator: { kind: value }, schedule: { cron: value } }],
      ['POST', `${secret}:rotation`, { do: value, session: value }],
      ['GET', `/api/v1/watch?path=${value.toUpperCase()}`],
      ['POST', '/api/v1/databases', { name: 'x', kind: 'postgres', admin: { username: value, password: value } }],
      ['PUT', `/api/v1/databases/${value}`, { name: value, admin: { password: value } }],
      ['POST', `/api/v1/leases/${value}:revoke`, { reason: value }],
      ['GET', `/api/v1/leases?session=${value}&database=${value}`],
      ['GET', `/api/v1/audit/entries?requestId=${value}`],
      ['DELETE', `/api/v1/tokens/${value}`],
    ] as const) {
      await recordReply(purser.call(method, path, body, { token: [purser.admin, token, value][n % 3] ?? '' }))
    }
    for (const header of ['If-Match', 'Idempotency-Key', 'Cookie', 'X-Forwarded-For', 'Host', 'Accept', value]) {
      const lines = [`Authorization: Bearer ${purser.admin}`, `${header}: "${value}"`, 'Content-Length: 0']
      replies.push((await ask(purser.url, `PUT ${secret} HTTP/1.1`, lines)).text)
    }
    await recordReply(
      purser.call('PUT', secret, undefined, {
        token: purser.admin,
        raw: `{"data": {"value": "${value}"`,
        headers: { 'if-match': '"1"' },
      }),
    )
    await recordReply(
      purser.call(
        'POST',
        '/api/v1/join-tokens',
        { workload: value },
        { token: purser.admin, headers: { 'idempotency-key': value } },
      ),
    )
  }
}

/** The needles in these bytes: none are expected. */
const findNeedles = (bytes: Buffer): string[] =>
  needles.filter(([, needle]) => bytes.includes(needle)).map(([encoding]) => encoding)

function* filesUnder(folder: string): Generator<string> {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) yield* filesUnder(path)
    else if (entry.isFile()) yield path
  }
}

function holders(folder: string): string[] {
  const all: string[] = []
  for (const path of filesUnder(folder))
    all.push(...findNeedles(readFileSync(path)).map((encoding) => `${path}: ${encoding}`))
  return all
}

describe('secret values', () => {
  it('would be found in the clear, in each encoding', () => {
    for (const [encoding, needle] of needles)
      expect(findNeedles(Buffer.concat([Buffer.from('before'), needle, Buffer.from('after')]))).toContain(encoding)
    for (const before of ['', 'a', 'ab']) {
      expect(findNeedles(Buffer.from(Buffer.from(`${before}${values[1] ?? ''}yz`).toString('base64')))).not.toEqual([])
    }
  })

  it('are in no refusal and no reply that is not a read', () => {
    expect(replies.length).toBeGreaterThan(values.length * 30)
    expect(findNeedles(Buffer.from(replies.join('\n')))).toEqual([])
  })

  it('are in no row, file, write-ahead log or statement log of Postgres', async () => {
    const files = [...filesUnder(postgres.data)]
    expect(files.some((path) => path.includes('pg_wal'))).toBe(true)
    expect(holders(postgres.data)).toEqual([])
    const logText = statements.join('')
    expect(logText).toMatch(/insert into "secret_version"[^]*Parameters: \$1 = '/i)
    expect(findNeedles(Buffer.from(logText))).toEqual([])
  })

  it('are in no line of the server’s log, no metric and no file of its own', async () => {
    const metrics = await purser.asAdmin('GET', '/metrics')
    expect(purser.logs.length).toBeGreaterThan(values.length * 20)
    expect(findNeedles(Buffer.from(`${purser.logs.join('\n')}${metrics.text}`))).toEqual([])
    expect(holders(dataDir)).toEqual([])
  })

  it('are in no row as a hash that could verify a guess', async () => {
    const tables: string[] = await purser.knex('pg_tables').where({ schemaname: 'public' }).pluck('tablename')
    const rows = await Promise.all(
      tables.map((name): Promise<{ text: string }[]> =>
        purser.knex(name).select(purser.knex.raw('??::text as text', [name])),
      ),
    )
    const dump = Buffer.from(
      rows
        .flat()
        .map((row) => row.text)
        .join('\n'),
    )
    expect(dump.length).toBeGreaterThan(100_000)
    const hashes = values.flatMap(hashesOf)
    expect(hashes.filter((hash) => dump.includes(hash) || dump.includes(hash.toString('hex')))).toEqual([])
  })

  it('are not in the audit export', async () => {
    const { text } = await purser.asAdmin('GET', '/api/v1/audit/export?format=jsonl')
    expect(text.split('\n').length).toBeGreaterThan(values.length * 20)
    expect(findNeedles(Buffer.from(text))).toEqual([])
  })

  it('are in no temporary file and in no process’s arguments or environment', async () => {
    for (const name of readdirSync(tmpdir())) {
      const path = join(tmpdir(), name)
      const info = statSync(path, { throwIfNoEntry: false })
      if (info?.isFile() && info.mtimeMs >= startedAt)
        expect([path, findNeedles(readFileSync(path))]).toEqual([path, []])
    }
    for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
      for (const file of ['cmdline', 'environ']) {
        const bytes = await readFile(`/proc/${pid}/${file}`).catch(() => Buffer.alloc(0))
        expect([pid, file, findNeedles(bytes)]).toEqual([pid, file, []])
      }
    }
  })
})
