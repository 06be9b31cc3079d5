/** Watches of secrets over TLS, on two replicas of one Postgres: permissions, events, and ends. */
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { createCsr } from '@purser/sdk/csr'
import { generateKeyPairSync } from 'node:crypto'
import { eventSchemas } from '../support/event-schemas.ts'
import { type Reader, watch } from '../support/event-stream.ts'
import { createIssuer, registerLab, type Issuer } from '../support/issuer.ts'
import { entriesOf } from '../support/operator.ts'
import { type TestPurser, startPurser, startReplica } from '../support/purser.ts'

const patience = { timeout: 20_000, interval: 20 }
const canary = 'correct-horse-battery-staple'
const secrets = [
  { paths: ['prod/**'], actions: ['read', 'list', 'watch'] },
  { paths: ['shut/*'], actions: ['read'] },
]

let first: TestPurser
let second: TestPurser
let issuer: Issuer
const open: Reader[] = []

const workload = (name: string) => ({
  name,
  attestor: 'lab',
  match: { 'oidc:sub': name },
  spiffeId: `spiffe://example.org/lab/${name}`,
  grants: { x509: { maxLifetimeSeconds: 3600 }, secrets },
  maxSessionSeconds: 7200,
})

beforeAll(async () => {
  first = await startPurser({ store: 'postgres', tls: true })
  second = await startReplica(first, { tls: true })
  issuer = await createIssuer()
  await registerLab(first, issuer)
  for (const name of ['shop', 'other']) await first.asAdmin('POST', '/api/v1/workloads', workload(name))
})
afterAll(async () => {
  for (const reader of open) reader.cut()
  await second.stop()
  await first.stop()
})

type Attested = { token: string; tokenId: string; session: string; certificate: string }

async function attest(sub = 'shop', request: object = {}, purser = first): Promise<Attested> {
  const proof = { kind: 'jwt', token: await issuer.token({ sub }) }
  const answer = await purser.call('POST', '/api/v1/credentials', { proof, accessToken: {}, ...request })
  expect(answer.status, answer.text).toBe(200)
  const { accessToken, session, x509 } = answer.body as {
    accessToken: { token: string; id: string }
    session: { id: string }
    x509?: { certificateChain: string }
  }
  const certificate = x509?.certificateChain ?? ''
  return { token: accessToken.token, tokenId: accessToken.id, session: session.id, certificate }
}

async function put(path: string, version: number, purser = first): Promise<void> {
  const headers = { 'if-match': `"${version}"` }
  await purser.asAdmin('PUT', `/api/v1/secrets/${path}`, { data: { password: `${canary}-${version + 1}` } }, headers)
}

async function reader(purser: TestPurser, query: string, options: Parameters<typeof watch>[2]): Promise<Reader> {
  const stream = await watch(purser, query, options)
  open.push(stream)
  return stream
}

const synced = (reader: Reader) =>
  vi.waitFor(() => expect(reader.events.map(({ name }) => name)).toContain('synced'), patience)
const secretEvents = ({ events }: Reader) => events.filter(({ name }) => name === 'secret').map(({ data }) => data)
const versions = (reader: Reader, path: string) =>
  secretEvents(reader).flatMap((data) =>
    data['path'] === path ? [data['deleted'] === true ? 'deleted' : data['version']] : [],
  )
const names = ({ events }: Reader) => events.map(({ name }) => name)

describe('the callers of a watch', () => {
  it.each([
    ['nobody', '?path=prod/a', () => undefined, 401, 'unauthenticated'],
    ['one whose grant only reads', '?path=prod/a&path=shut/a', async () => (await attest()).token, 403, 'not_granted'],
    ['an invalid path', '?path=Prod', async () => (await attest()).token, 400, 'bad_path'],
    ['another parameter', '?paths=prod/a', async () => (await attest()).token, 400, 'invalid_request'],
    ['a prefix twice', '?prefix=a&prefix=b', async () => (await attest()).token, 400, 'invalid_request'],
  ])('%s is refused', async (_, query, tokenOf, status, code) => {
    const token = await tokenOf()
    const answer = await first.call('GET', `/api/v1/watch${query}`, undefined, token === undefined ? {} : { token })
    expect([answer.status, answer.body.code]).toEqual([status, code])
  })

  it('a refusal names the part, whether or not the secret exists', async () => {
    const { token } = await attest()
    const answer = await first.call('GET', '/api/v1/watch?path=prod/a&path=shut/none', undefined, { token })
    expect(answer.body['errors']).toEqual([{ pointer: '/query/path/1', detail: 'is not granted to the caller' }])
  })

  it('a prefix without grants is refused, whether or not secrets exist under it', async () => {
    await put('hidden/one', 0)
    const { token } = await attest()
    for (const prefix of ['hidden/', 'hidden/one', 'hidden/none', 'shut/', 'h', 'prodding/', 'prod//', '/prod']) {
      const watcher = await reader(first, `?prefix=${prefix}`, { token })
      expect(watcher.status, prefix).toBe(403)
    }
    const answer = await first.call('GET', '/api/v1/watch?prefix=hidden/', undefined, { token })
    expect(answer.body['errors']).toEqual([{ pointer: '/query/prefix', detail: 'is not granted to the caller' }])
    for (const prefix of ['', 'pro', 'prod', 'prod/', 'prod/none/yet/']) {
      const watcher = await reader(first, `?prefix=${prefix}`, { token })
      expect(watcher.status, prefix).toBe(200)
      watcher.cut()
    }
  })

  it('a caller with a grant under a prefix stays connected while only foreign secrets exist there', async () => {
    await put('teams/theirs/one', 0)
    const grants = { secrets: [{ paths: ['teams/ours/*'], actions: ['watch'] }] }
    await first.asAdmin('POST', '/api/v1/workloads', { ...workload('ours'), grants })
    const { token } = await attest('ours', {})
    const watcher = await reader(first, '?prefix=teams/', { token })
    await synced(watcher)
    await first.asAdmin('POST', '/api/v1/workloads', workload('anybody'))
    await put('teams/theirs/one', 1)
    await put('teams/ours/one', 0)
    await vi.waitFor(() => expect(secretEvents(watcher).map(({ path }) => path)).toEqual(['teams/ours/one']), patience)
    expect(names(watcher)).not.toContain('revoked')
  })

  it('opening is recorded with the existing names and the number of others, and events have only names', async () => {
    await put('prod/recorded', 0)
    const { token, session } = await attest()
    const watcher = await reader(first, '?path=prod/recorded&path=prod/hunter2', { token })
    await synced(watcher)
    const entries = await entriesOf(first, watcher.message.headers['purser-request-id'])
    expect(entries).toMatchObject([
      { action: 'secret.watch', outcome: 'granted', actor: { session, workload: 'shop' } },
    ])
    expect(entries[0]?.detail).toEqual({ paths: ['prod/recorded'], unknown: 1 })
    await put('prod/recorded', 1)
    await vi.waitFor(() => expect(versions(watcher, 'prod/recorded')).toEqual([1, 2]), patience)
    expect(watcher.body()).not.toContain(canary)
    expect(secretEvents(watcher)[0]).toEqual({ path: 'prod/recorded', version: 1, revision: 1 })
  })

  it('a certificate is accepted like a token', async () => {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const { certificate } = await attest('shop', { x509: { csr: createCsr(privateKey) } })
    const key = String(privateKey.export({ type: 'pkcs8', format: 'pem' }))
    const watcher = await reader(first, '?path=prod/recorded', { client: { key, cert: certificate } })
    await synced(watcher)
    expect(watcher.status).toBe(200)
  })

  it('an operator watches names by prefix', async () => {
    const watcher = await reader(second, '?prefix=ops/', { token: first.admin })
    await synced(watcher)
    await put('ops/one', 0)
    await put('prod/not-ops', 0)
    await put('ops/two', 0)
    await vi.waitFor(
      () => expect(secretEvents(watcher).map(({ path }) => path)).toEqual(['ops/one', 'ops/two']),
      patience,
    )
  })
})

describe('the events of a watch', () => {
  it('a change at one replica reaches streams at the other, in order, complete, and only if it is watched', async () => {
    const { token } = await attest()
    await put('prod/across', 0)
    const watcher = await reader(second, '?path=prod/across&path=prod/later', { token })
    await synced(watcher)
    expect(secretEvents(watcher)).toEqual([
      { path: 'prod/across', version: 1, revision: 1 },
      { path: 'prod/later', deleted: true },
    ])
    for (const version of [1, 2, 3]) {
      await put('prod/across', version)
      await put('prod/unwatched', version - 1)
      await vi.waitFor(() => expect(versions(watcher, 'prod/across').at(-1)).toBe(version + 1), patience)
    }
    expect(versions(watcher, 'prod/across')).toEqual([1, 2, 3, 4])
    await put('prod/later', 0)
    await vi.waitFor(() => expect(versions(watcher, 'prod/later')).toEqual(['deleted', 1]), patience)
    await first.asAdmin('POST', '/api/v1/secrets/prod/across:destroy', { all: true })
    await vi.waitFor(() => expect(versions(watcher, 'prod/across').at(-1)).toBe('deleted'), patience)
    expect(secretEvents(watcher).some(({ path }) => path === 'prod/unwatched')).toBe(false)
  })

  it('a reader that reconnects to another replica receives missed changes once, and no earlier ones', async () => {
    const { token } = await attest()
    for (const path of ['prod/r1', 'prod/r2', 'prod/r3']) await put(path, 0)
    const query = '?path=prod/r1&path=prod/r2&path=prod/r3'
    const before = await reader(second, query, { token })
    await synced(before)
    await put('prod/r1', 1)
    await vi.waitFor(() => expect(versions(before, 'prod/r1')).toEqual([1, 2]), patience)
    before.cut()
    await put('prod/r2', 1)
    await put('prod/r2', 2, second)
    await first.asAdmin('POST', '/api/v1/secrets/prod/r3:destroy', { all: true })
    const after = await reader(first, query, { token, lastEventId: before.lastId() })
    await synced(after)
    expect([...secretEvents(after)].toSorted((a, b) => String(a['path']).localeCompare(String(b['path'])))).toEqual([
      { path: 'prod/r2', version: 3, revision: 3 },
      { path: 'prod/r3', deleted: true },
    ])
    expect(after.events.find(({ name }) => name === 'synced')?.data).toEqual({ complete: false })
    await put('prod/r1', 2)
    await vi.waitFor(() => expect(versions(after, 'prod/r1')).toEqual([3]), patience)
  })

  it.each([
    ['of another server', 'hello'],
    ['of another epoch', '7.1'],
    ['of a revision that never was', '1.999999999'],
  ])('an id %s is ignored: the whole state is sent', async (_, lastEventId) => {
    const { token } = await attest()
    const watcher = await reader(first, '?path=prod/recorded', { token, lastEventId })
    await synced(watcher)
    expect(versions(watcher, 'prod/recorded')).toHaveLength(1)
    expect(watcher.events.find(({ name }) => name === 'synced')?.data).toEqual({ complete: true })
  })

  it('a reader that is cut off at random ends with the last version of every secret, and never receives an earlier one', async () => {
    const { token } = await attest()
    const paths = ['prod/s1', 'prod/s2', 'prod/s3', 'prod/s4']
    const query = `?${paths.map((path) => `path=${path}`).join('&')}`
    const versionsByPath = new Map<string, number[]>(paths.map((path) => [path, []]))
    let writing = true
    const writes = (async () => {
      for (let version = 0; version < 12; version++)
        for (const [n, path] of paths.entries()) await put(path, version, n % 2 === 0 ? first : second)
      writing = false
    })()
    let lastEventId: string | undefined
    const isDone = (): boolean => !writing && [...versionsByPath.values()].every((all) => all.at(-1) === 12)
    for (let n = 0; !isDone(); n++) {
      const watcher = await reader(n % 2 === 0 ? first : second, query, { token, lastEventId })
      await synced(watcher)
      const count = watcher.events.length
      await vi.waitFor(() => expect(watcher.events.length > count || !writing).toBe(true), patience)
      // The cut: anything that the server sent later is lost.
      const events = [...watcher.events]
      watcher.cut()
      await watcher.ended
      const upTo = events.findLastIndex(({ id }) => id !== undefined)
      for (const { name, data } of events.slice(0, upTo + 1)) {
        const { path, version } = data as { path: string; version?: number }
        if (name === 'secret' && version !== undefined) versionsByPath.get(path)?.push(version)
      }
      lastEventId = events[upTo]?.id ?? lastEventId
    }
    await writes
    for (const all of versionsByPath.values()) {
      expect(all.at(-1)).toBe(12)
      expect(all).toEqual([...new Set(all)].toSorted((a, b) => a - b))
    }
  })
})

/** The fields of each event in the stream; comments and the retry time are no events. */
const fieldsOf = (body: string): Record<string, string>[] =>
  body
    .split('\n\n')
    .map((block) => block.split('\n').filter((line) => line !== '' && !line.startsWith(':')))
    .filter((lines) => lines.length > 0 && !lines.every((line) => line.startsWith('retry: ')))
    .map((lines) => Object.fromEntries(lines.map((line) => line.split(/: (.*)/, 2))))

describe('openapi.yaml', () => {
  const schemas = eventSchemas()

  it.each([
    ['an event of another name', { event: 'secrets', data: '{}' }],
    ['no data', { event: 'bundle' }],
    ['data that is not JSON', { event: 'bundle', data: 'sequence=1' }],
    ['data of another event', { event: 'bundle', data: '{"complete":true}' }],
    ['a value', { event: 'secret', data: '{"path":"a","version":1,"revision":1,"value":"x"}' }],
    ['an id of another form', { event: 'synced', id: '4711', data: '{"complete":true}' }],
    ['no id where one is due', { event: 'synced', data: '{"complete":true}' }],
    ['another field', { event: 'revoked', data: '{"reason":"grant"}', retry: '1' }],
  ])('does not describe %s', (_, event) => {
    expect(schemas.faultsOf(event)).not.toEqual([])
  })

  it('describes every event that a stream carries', async () => {
    await put('prod/described', 0)
    const { token, session } = await attest()
    const stream = await reader(first, '?path=prod/described&path=prod/not-yet', { token })
    await synced(stream)
    await put('prod/described', 1)
    await vi.waitFor(() => expect(versions(stream, 'prod/described')).toContain(2), patience)
    await first.asAdmin('POST', '/api/v1/secrets/prod/described:destroy', { all: true })
    await vi.waitFor(() => expect(versions(stream, 'prod/described')).toContain('deleted'), patience)
    await first.asAdmin('POST', '/api/v1/revocations', { session })
    await stream.ended
    const events = fieldsOf(stream.body())
    expect(new Set(events.map(({ event }) => event))).toEqual(new Set(['bundle', 'secret', 'synced', 'revoked']))
    expect(events).toHaveLength(stream.events.length)
    for (const event of events) expect(schemas.faultsOf(event), JSON.stringify(event)).toEqual([])
  })
})

describe('the end of a watch', () => {
  it('comes with the removal of the grant, also at the other replica', async () => {
    const { token } = await attest('other')
    const all = [await reader(first, '?path=prod/a', { token }), await reader(second, '?path=prod/a', { token })]
    for (const reader of all) await synced(reader)
    const { body } = await first.asAdmin('GET', '/api/v1/workloads/other')
    await first.asAdmin(
      'PUT',
      '/api/v1/workloads/other',
      { ...workload('other'), grants: { secrets: [{ paths: ['prod/**'], actions: ['read'] }] } },
      { 'if-match': `"${String(body['revision'])}"` },
    )
    for (const reader of all) {
      await reader.ended
      expect(reader.events.at(-1)).toEqual({ name: 'revoked', data: { reason: 'grant' } })
    }
  })

  it('comes with the end of the session, also at the other replica', async () => {
    const { token } = await attest()
    const all = [await reader(first, '?path=prod/a', { token }), await reader(second, '?path=prod/a', { token })]
    for (const reader of all) await synced(reader)
    await first.call('DELETE', '/api/v1/credentials/self', undefined, { token })
    for (const reader of all) {
      await reader.ended
      expect(reader.events.at(-1)).toEqual({ name: 'revoked', data: { reason: 'credential' } })
    }
  })

  it.each(['session', 'accessToken'] as const)('comes with the revocation of the %s', async (kind) => {
    const { token, session, tokenId } = await attest()
    const watcher = await reader(second, '?path=prod/a', { token })
    await synced(watcher)
    await first.asAdmin('POST', '/api/v1/revocations', kind === 'session' ? { session } : { accessToken: tokenId })
    await watcher.ended
    expect(names(watcher).at(-1)).toBe('revoked')
  })

  it('comes silently with the end of the access token, and the next token opens another watch', async () => {
    const { token } = await attest('shop', { accessToken: { lifetimeSeconds: 6 } })
    const watcher = await reader(first, '?path=prod/a', { token })
    await watcher.ended
    expect(names(watcher)).not.toContain('revoked')
  })

  it('comes with the disconnection of the reader, and frees its slot', async () => {
    const { token } = await attest()
    for (let n = 0; n < 40; n++) {
      const watcher = await reader(first, '?path=prod/a', { token })
      expect(watcher.status).toBe(200)
      watcher.cut()
      await watcher.ended
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    const last = await reader(first, '?path=prod/a', { token })
    await synced(last)
  })

  it('makes room within the limit of one session, which does not affect others', async () => {
    const { token } = await attest()
    const all = await Promise.all(Array.from({ length: 16 }, () => reader(first, '?path=prod/a', { token })))
    for (const reader of all) await synced(reader)
    const answer = await first.call('GET', '/api/v1/watch?path=prod/a', undefined, { token })
    expect([answer.status, answer.body.code]).toEqual([429, 'rate_limited'])
    expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0)
    await synced(await reader(first, '?path=prod/a', { token: (await attest()).token }))
    all[0]?.cut()
    await vi.waitFor(async () => {
      const next = await reader(first, '?path=prod/a', { token })
      expect(next.status).toBe(200)
    }, patience)
    for (const reader of all) reader.cut()
  })

  it('comes for a reader that reads nothing, without effect on others', async () => {
    await first.knex.raw(
      `insert into secret (id, path, version, revision, max_versions, created_at, updated_at, changed)
         select 'sec_many' || n, 'many/' || repeat('x', 490) || n, 1, 1, 10, now(), now(),
                (select revision from log_head order by epoch desc limit 1) from generate_series(1, 20000) n`,
    )
    const third = await startReplica(first, { tls: true })
    try {
      const watcher = await reader(third, '?prefix=many/', { token: first.admin })
      watcher.message.pause()
      const other = await reader(third, '?prefix=ops/', { token: first.admin })
      await synced(other)
      await vi.waitFor(() => expect(third.logs.join('\n')).toContain('"route":"watch"'), {
        ...patience,
        timeout: 40_000,
      })
      await put('ops/after-the-slow-one', 0)
      await vi.waitFor(
        () => expect(secretEvents(other).at(-1)).toMatchObject({ path: 'ops/after-the-slow-one' }),
        patience,
      )
      watcher.message.resume()
      await watcher.ended
      expect(names(watcher)).not.toContain('synced')
      const reconnected = await reader(third, '?prefix=many/', { token: first.admin })
      await vi.waitFor(() => expect(names(reconnected)).toContain('synced'), patience)
      expect(secretEvents(reconnected)).toHaveLength(20_000)
      expect(reconnected.events.filter(({ id }) => id !== undefined)).toHaveLength(1)
    } finally {
      await third.stop()
    }
  })

  it('comes at once when the replica stops, which opens no more watches', async () => {
    const { token } = await attest()
    const third = await startReplica(first, { tls: true, env: { PURSER_DRAIN_SECONDS: '60' } })
    const watcher = await reader(third, '?path=prod/a', { token })
    await synced(watcher)
    const stopped = third.stop()
    await watcher.ended
    await stopped
    expect(names(watcher)).not.toContain('revoked')
  })
})

it('a watch counts in the response times until it begins, not until it ends', async () => {
  const purser = await startPurser({ tls: true })
  try {
    await purser.asAdmin('PUT', '/api/v1/secrets/prod/timed', { data: { a: 'b' } }, { 'if-match': '"0"' })
    const startedAt = performance.now()
    const watcher = await reader(purser, '?path=prod/timed', { token: purser.admin })
    await synced(watcher)
    const seconds = (performance.now() - startedAt) / 1000
    await new Promise((resolve) => setTimeout(resolve, 200 + seconds * 2000))
    watcher.cut()
    const sum = async () =>
      Number(
        /http_request_seconds_sum\{route="watch"\} (\S+)/.exec((await purser.asAdmin('GET', '/metrics')).text)?.[1],
      )
    await vi.waitFor(async () => expect(await sum()).toBeGreaterThan(0), patience)
    expect(await sum()).toBeLessThanOrEqual(seconds)
  } finally {
    await purser.stop()
  }
})
