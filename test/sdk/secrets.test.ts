/** Secrets in the SDK against a Purser over TLS, of two replicas: read, watched, rotated, acknowledged. */
import { inspect } from 'node:util'
import { type ConnectOptions, type Purser, type Secret, connect } from '@purser/sdk'
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { startNetwork } from '../support/cut-network.ts'
import { type Issuer, createIssuer, registerLab } from '../support/issuer.ts'
import { readLog } from '../support/operator.ts'
import { type TestPurser, startPurser, startReplica } from '../support/purser.ts'
import { failing } from './failing.ts'

const canary = 'correct-horse-battery-staple'
const patience = { timeout: 20_000, interval: 20 }

let first: TestPurser
let second: TestPurser
let issuer: Issuer

beforeAll(async () => {
  first = await startPurser({ store: 'postgres', tls: true })
  second = await startReplica(first, { tls: true })
  issuer = await createIssuer()
  await registerLab(first, issuer)
  await first.asAdmin('POST', '/api/v1/workloads', shop)
})
afterAll(async () => {
  await second.stop()
  await first.stop()
})

const secrets = [{ paths: ['prod/**'], actions: ['read', 'list', 'watch'] }]
const shop = {
  name: 'shop',
  attestor: 'lab',
  match: { 'oidc:sub': 'shop' },
  spiffeId: 'spiffe://example.org/lab/shop',
  grants: { x509: { maxLifetimeSeconds: 3600 }, secrets },
  maxSessionSeconds: 7200,
}

async function put(path: string, version: number, purser = first): Promise<void> {
  const data = { username: 'app', password: `${canary}-${version + 1}` }
  await purser.asAdmin('PUT', `/api/v1/secrets/${path}`, { data }, { 'if-match': `"${version}"` })
}

async function client(more: ConnectOptions = {}, addr = first.url): Promise<{ purser: Purser; warnings: string[] }> {
  const warnings: string[] = []
  const purser = await connect({
    addr,
    ca: { pem: readFileSync(join(first.dataDir, 'ca.pem'), 'utf8') },
    proof: () => issuer.token({ sub: 'shop' }),
    logKey: first.vkeys,
    env: {},
    onWarning: (warning) => warnings.push(warning),
    ...more,
  })
  onTestFinished(() => purser.close())
  return { purser, warnings }
}

const readsOf = async (path: string): Promise<unknown[]> =>
  (await readLog(first)).flatMap(({ action, outcome, issued }) =>
    outcome === 'granted' && issued?.secrets?.some((secret) => secret.path === path) ? [action] : [],
  )
const acked = async (path: string): Promise<number[]> =>
  (
    await first
      .knex('secret_consumer as c')
      .join('secret as s', 's.id', 'c.secret_id')
      .where('s.path', path)
      .whereNotNull('acked_at')
      .orderBy('c.version')
      .select('c.version')
  ).map((row: { version: number }) => row.version)

describe('get()', () => {
  test('secrets of connect() need no further request; others need one, which is logged', async () => {
    for (const path of ['prod/g1', 'prod/g2']) await put(path, 0)
    const { purser } = await client({ secrets: ['prod/g1', { path: 'prod/none', optional: true }] })
    const secret = await purser.secrets.get('prod/g1')
    expect([secret.path, secret.version, secret.data]).toEqual([
      'prod/g1',
      1,
      { username: 'app', password: `${canary}-1` },
    ])
    expect(await readsOf('prod/g1')).toEqual(['credentials.issue'])
    const [first, second] = await Promise.all([purser.secrets.get('prod/g2'), purser.secrets.get('prod/g2')])
    expect(first).toBe(second)
    expect(await purser.secrets.get('prod/g2')).toBe(first)
    expect(await readsOf('prod/g2')).toEqual(['secret.read'])
    await put('prod/g2', 1)
    expect((await purser.secrets.get('prod/g2')).version).toBe(1)
    expect((await purser.secrets.get('prod/g2', { fresh: true })).version).toBe(2)
    expect((await purser.secrets.get('prod/g2', { version: 1 })).data['password']).toBe(`${canary}-1`)
    expect((await purser.secrets.get('prod/g2')).version).toBe(2)
  })

  test('refusals have their code, and no inspected object shows a value', async () => {
    await put('prod/shown', 0)
    const { purser, warnings } = await client({ secrets: ['prod/shown'] })
    expect((await failing(purser.secrets.get('prod/none'))).code).toBe('not_found')
    expect((await failing(purser.secrets.get('other/none'))).code).toBe('not_granted')
    expect((await failing(purser.secrets.get(`NOT A PATH ${canary}`))).message).not.toContain(canary)
    const secret = await purser.secrets.get('prod/shown')
    const words = [secret, { secret }, [secret], { ...secret }, purser, purser.secrets]
    for (const word of words) {
      expect(inspect(word, { depth: 10, showHidden: false })).not.toContain(canary)
      expect(JSON.stringify(word)).not.toContain(canary)
    }
    expect(inspect(secret)).toContain('prod/shown')
    expect(warnings.join()).not.toContain(canary)
  })

  test('the start is all or nothing, and a request that can never succeed is refused before it is sent', async () => {
    expect((await failing(client({ secrets: ['prod/g1', 'other/x'] }))).code).toBe('not_granted')
    for (const wrong of [['PROD'], [{ path: 'prod/a', version: 0 }], [{ path: 'prod/a', versions: 1 }], [7]])
      expect((await failing(client({ secrets: wrong as unknown as string[] }))).code).toBe('bad_options')
  })

  test('reads, renewals and tokens at the same time see one log that only grows', async () => {
    const paths = Array.from({ length: 6 }, (_, n) => `prod/many/${n}`)
    for (const path of paths) await put(path, 0)
    const { purser } = await client({ accessToken: true })
    const results = await Promise.all([
      ...paths.map((path) => purser.secrets.get(path)),
      purser.renew(),
      purser.renew(),
    ])
    expect(results.slice(0, 6).map((result) => (result as Secret).path)).toEqual(paths)
  })

  test('a client without a credential gets the advice how to connect', async () => {
    const { purser } = await client({ x509: false })
    expect((await failing(purser.secrets.get('prod/g1'))).code).toBe('not_requested')
  })
})

describe.each([
  ['a certificate', {}],
  ['an access token', { x509: false, accessToken: true }],
] as const)('watch() by %s', (name, options) => {
  const base = `prod/w-${name.replaceAll(' ', '-')}`

  test('delivers each version once, in order, across replicas, and acknowledges what the listener processed', async () => {
    const path = `${base}/a`
    await put(path, 0)
    const { purser } = await client({ secrets: [path], ...options }, second.url)
    const versions: number[] = []
    let release = (): void => undefined
    const watch = purser.secrets.watch(path, async ({ version, data }) => {
      expect(data['password']).toBe(`${canary}-${version}`)
      versions.push(version)
      if (version === 3) await new Promise<void>((resolve) => (release = resolve))
    })
    await put(path, 1)
    await vi.waitFor(() => expect(versions).toEqual([2]), patience)
    expect((await purser.secrets.get(path)).version).toBe(2)
    await vi.waitFor(async () => expect(await acked(path)).toEqual([2]), patience)
    await put(path, 2)
    await vi.waitFor(() => expect(versions).toEqual([2, 3]), patience)
    await put(path, 3)
    await vi.waitFor(async () => expect((await purser.secrets.get(path)).version).toBe(4), patience)
    expect([versions, await acked(path)]).toEqual([[2, 3], [2]])
    release()
    await vi.waitFor(async () => expect(await acked(path)).toEqual([2, 3, 4]), patience)
    expect(versions).toEqual([2, 3, 4])
    watch.close()
    await put(path, 4)
    const other = `${base}/b`
    await put(other, 0)
    purser.secrets.watch(other, ({ version }) => void versions.push(version + 100))
    await vi.waitFor(() => expect(versions).toEqual([2, 3, 4, 101]), patience)
  })
})

describe('watch()', () => {
  test('a process that restarts in its session reports the version that it starts with; no rotation waits for its older versions', async () => {
    const path = 'prod/again'
    await put(path, 0)
    const token = await issuer.token({ sub: 'shop' })
    const { purser: before } = await client({ secrets: [path], proof: async () => token })
    before.close()
    await put(path, 1)
    const { purser: after } = await client({ secrets: [path], proof: async () => token })
    expect((await after.secrets.get(path)).version).toBe(2)
    after.secrets.watch(path, () => undefined, { acknowledge: false })
    after.secrets.watch(path, () => undefined)
    const { purser: third } = await client({ secrets: [path], proof: async () => token })
    expect(await acked(path)).toEqual([])
    third.secrets.watch(path, () => undefined)
    await vi.waitFor(async () => expect(await acked(path)).toEqual([2]), patience)

    const old = 'prod/old'
    for (const n of [0, 1]) await put(old, n)
    await first.knex('secret_version').update({ created_at: new Date(Date.now() - 8 * 86_400_000) })
    const { purser } = await client({ secrets: [old, path] })
    purser.secrets.watch([old, path], () => undefined)
    await put(path, 2)
    await vi.waitFor(async () => expect(await acked(path)).toContain(3), patience)
    expect(await acked(old)).toEqual([])
  })

  test('a failing listener causes a warning and no acknowledgement; another listener still gets the version', async () => {
    const path = 'prod/fails'
    await put(path, 0)
    const { purser, warnings } = await client({ secrets: [path] })
    const watch = purser.secrets.watch(path, () => Promise.reject(new Error('no connection')))
    const versions: number[] = []
    watch.on('change', ({ version }) => void versions.push(version))
    await put(path, 1)
    await vi.waitFor(() => expect(versions).toEqual([2]), patience)
    await vi.waitFor(() => expect(warnings.join()).toContain('no connection'), patience)
    await purser.secrets.ack(path, 2)
    expect(await acked(path)).toEqual([2])
  })

  test('changes between connect() and watch() are delivered, and so are later creations and destructions', async () => {
    await put('prod/early', 0)
    const { purser } = await client({ secrets: ['prod/early'] })
    await put('prod/early', 1)
    const events: string[] = []
    const watch = purser.secrets.watch(
      ['prod/early', 'prod/late'],
      ({ path, version }) => void events.push(`${path} ${version}`),
    )
    watch.on('removed', ({ path }) => events.push(`${path} gone`))
    await vi.waitFor(() => expect(events).toEqual(['prod/early 2']), patience)
    await put('prod/late', 0)
    await vi.waitFor(() => expect(events).toEqual(['prod/early 2', 'prod/late 1']), patience)
    await first.asAdmin('POST', '/api/v1/secrets/prod/late:destroy', { all: true })
    await vi.waitFor(() => expect(events.at(-1)).toBe('prod/late gone'), patience)
    expect((await failing(purser.secrets.get('prod/late'))).code).toBe('not_found')
  })

  test('a withdrawn grant is reported, and the other secrets are still watched', async () => {
    await first.asAdmin('POST', '/api/v1/workloads', {
      ...shop,
      name: 'shop2',
      match: { 'oidc:sub': 'shop2' },
      spiffeId: 'spiffe://example.org/lab/shop2',
    })
    await put('prod/kept', 0)
    await put('prod/lost', 0)
    const { purser } = await client({ proof: () => issuer.token({ sub: 'shop2' }) })
    const events: string[] = []
    const hear = ({ path, version }: Secret) => void events.push(`${path} ${version}`)
    const granted = purser.secrets.watch('prod/kept', hear)
    const withdrawn = purser.secrets.watch('prod/lost', hear)
    granted.on('error', ({ code }) => events.push(`kept ${code}`))
    withdrawn.on('error', ({ code }) => events.push(`lost ${code}`))
    await vi.waitFor(() => expect(events.toSorted()).toEqual(['prod/kept 1', 'prod/lost 1']), patience)
    const { body } = await first.asAdmin('GET', '/api/v1/workloads/shop2')
    await first.asAdmin(
      'PUT',
      '/api/v1/workloads/shop2',
      {
        name: 'shop2',
        attestor: 'lab',
        match: { 'oidc:sub': 'shop2' },
        spiffeId: 'spiffe://example.org/lab/shop2',
        grants: { x509: { maxLifetimeSeconds: 3600 }, secrets: [{ paths: ['prod/kept'], actions: ['read', 'watch'] }] },
      },
      { 'if-match': `"${String(body['revision'])}"` },
    )
    await vi.waitFor(() => expect(events).toContain('lost not_granted'), patience)
    await put('prod/kept', 1)
    await vi.waitFor(() => expect(events).toContain('prod/kept 2'), patience)
    expect(events).not.toContain('kept not_granted')
    expect((await purser.secrets.get('prod/lost')).version).toBe(1)
  })

  test('network failures at any time: no version is missed at the end, duplicated, or out of order', async () => {
    const network = await startNetwork(first.url)
    onTestFinished(() => network.stop())
    const path = 'prod/cut'
    await put(path, 0)
    const { purser } = await client({ secrets: [path] }, network.url)
    const versions: number[] = []
    purser.secrets.watch(path, ({ version }) => void versions.push(version))
    for (let version = 1; version < 8; version++) {
      await put(path, version, version % 2 === 0 ? first : second)
      if (version % 2 === 1) {
        network.cut()
        network.mend()
      }
    }
    await vi.waitFor(() => expect(versions.at(-1)).toBe(8), patience)
    await vi.waitFor(async () => expect((await acked(path)).at(-1)).toBe(8), patience)
    expect(versions).toEqual([...new Set(versions)].toSorted((a, b) => a - b))
  })

  test('the next session continues the watches of an ended one, and is the consumer from then on', async () => {
    const path = 'prod/moved'
    await put(path, 0)
    const { purser } = await client({ secrets: [path], accessToken: true })
    const versions: number[] = []
    purser.secrets.watch(path, ({ version }) => void versions.push(version))
    const before = purser.session.id
    await first.asAdmin('POST', '/api/v1/revocations', { serialNumber: purser.x509.serialNumber })
    await first.knex('session').where({ id: before }).update({ ended_at: new Date(), end_reason: 'a test' })
    await purser.renew()
    expect(purser.session.id).not.toBe(before)
    await put(path, 1)
    await vi.waitFor(() => expect(versions).toEqual([2]), patience)
    const holders = await first.knex('secret_consumer').where({ holder: purser.session.id }).select('version')
    expect(holders.length).toBeGreaterThan(0)
  })

  test('an abort signal, close() and the end of the client end it without an unhandled rejection', async () => {
    const unhandled: unknown[] = []
    const note = (error: unknown): void => void unhandled.push(error)
    process.on('unhandledRejection', note)
    onTestFinished(() => void process.off('unhandledRejection', note))
    const { purser } = await client({ accessToken: true })
    const controller = new AbortController()
    purser.secrets.watch('prod/g1', () => undefined, { signal: controller.signal })
    const other = purser.secrets.watch('prod/g2')
    controller.abort()
    other.close()
    other.close()
    purser.secrets.watch('prod/g1', () => undefined)
    purser.close()
    expect(() => purser.secrets.watch('prod/g1')).toThrow('closed')
    expect((await failing(purser.secrets.get('prod/g1'))).code).toBe('closed')
    await new Promise((resolve) => setTimeout(resolve, 100))
    expect(unhandled).toEqual([])
    expect(() => purser.secrets.watch([])).toThrow()
  })
})
