/**
 * A rotation through the front door: its end when every consumer has switched or at its deadline, and every verb for
 * the stuck ones.
 */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Clock, createClock } from '../support/clock.ts'
import { type Pod, createPods } from '../support/consumers.ts'
import { type Ask, createAsk, fault, readLog } from '../support/operator.ts'
import { type TestPurser, startPurser } from '../support/purser.ts'

const fields = { password: { length: 32, alphabet: 'alphanumeric' } }
const byPolicy = { rotator: { kind: 'generated', fields } }

type Rotation = { id: string; state: string; toVersion: number; deadlineAt?: string; lastError?: string }

let clock: Clock
let purser: TestPurser
let ask: Ask

beforeEach(async () => {
  clock = createClock()
  purser = await startPurser({ store: 'postgres', now: clock.now })
  ask = createAsk(purser)
})
afterEach(() => purser.stop())

const put = (data: object, version: number, path = 'prod/db') =>
  ask('putSecret', { name: path, body: { data }, ifMatch: version })

async function startPods(count: number, more: Record<string, unknown> = {}): Promise<Pod[]> {
  const names = Array.from({ length: count }, (_, n) => `pod-${n}`)
  const { start } = await createPods(purser, clock, names, more)
  const pods: Pod[] = []
  for (const name of names) pods.push(await start(name))
  return pods
}

const fetchAll = async (pods: readonly Pod[]): Promise<number[]> => {
  const statuses: number[] = []
  for (const pod of pods) statuses.push((await pod.fetch()).status)
  return statuses
}

/** Advances the clock and runs every job twice, because one run makes work due for the next. */
async function pass(seconds: number): Promise<void> {
  clock.advance(seconds)
  for (let n = 0; n < 3; n++) {
    await purser.runJobs()
    clock.advance(1)
  }
  await purser.runJobs()
}

const view = async () => (await ask('getRotation', { name: 'prod/db' })).body
const state = async (): Promise<unknown> => (await view())['rotation'] && ((await view())['rotation'] as Rotation).state
const steer = (body: object) => ask('steerRotation', { name: 'prod/db', body })
const rotate = (body: object = {}) => ask('rotateSecret', { name: 'prod/db', body })
const namesIn = (value: unknown): string[] => (Array.isArray(value) ? value.map(String) : [])
const readOld = (pod: Pod, version: number) => pod.fetch(`db?version=${version}`)

describe('a consumer that counts after its session', () => {
  it('counts for at most as long as consumers are stored', async () => {
    const holding = (holdSeconds: number) => startPods(1, { consumers: { countUntil: 'session', holdSeconds } })
    await expect(holding(2_592_001)).rejects.toThrow(/holdSeconds/)
  })
})

describe('a pod that reads an earlier version again', () => {
  it('right after it switched still counts as switched', async () => {
    await put({ password: 'first-password' }, 0)
    await ask('putRotationPolicy', { name: 'prod/db', body: byPolicy, ifMatch: 0 })
    const [first, second] = await startPods(2)
    if (!first || !second) throw new Error('no pods')
    await fetchAll([first, second])
    await rotate()
    await pass(1)
    await first.fetch()
    clock.advance(5)
    expect((await readOld(first, 1)).status).toBe(200)
    expect((await view())['waitingFor']).toBe(1)
    clock.advance(5)
    await second.fetch()
    await pass(20)
    expect(await state()).toBe('retired')
  })
})

describe('a value that was rolled back to', () => {
  it('counts as the version under which consumers first fetched it, also in the next rotation', async () => {
    await put({ password: 'first-password' }, 0)
    await ask('putRotationPolicy', { name: 'prod/db', body: byPolicy, ifMatch: 0 })
    const [stays, moves] = await startPods(2)
    if (!stays || !moves) throw new Error('no pods')
    await fetchAll([stays, moves])
    await rotate()
    await pass(1)
    await moves.fetch()
    await ask('rollBackSecret', { name: 'prod/db', body: { toVersion: 1 } })
    await pass(1)
    await moves.fetch()
    await pass(20)
    expect(await state()).toBe('retired')
    // Version 3 has the value of version 1, which still works.
    expect((await readOld(stays, 1)).status).toBe(200)
    expect((await readOld(stays, 2)).status).toBe(404)

    await rotate()
    await pass(1)
    await moves.fetch()
    await pass(20)
    expect([(await view())['waitingFor'], await state()]).toEqual([1, 'waiting'])
    await stays.fetch()
    await pass(20)
    expect(await state()).toBe('retired')
    expect([(await readOld(stays, 1)).status, (await readOld(stays, 3)).status]).toEqual([404, 404])
  })

  it('counts as its first version however often it is rolled back to', async () => {
    const back = (toVersion: number) => ask('rollBackSecret', { name: 'prod/db', body: { toVersion } })
    await put({ password: 'first-password' }, 0)
    await ask('putRotationPolicy', { name: 'prod/db', body: byPolicy, ifMatch: 0 })
    const [stays] = await startPods(1)
    if (!stays) throw new Error('no pod')
    await fetchAll([stays])
    await rotate()
    await pass(1)
    await back(1)
    await pass(20)
    await rotate()
    await pass(1)
    await back(3)
    await pass(20)
    expect(await state()).toBe('retired')
    await rotate()
    await pass(20)
    expect([(await view())['waitingFor'], await state()]).toEqual([1, 'waiting'])
  })
})

describe('ten pods of one entry', () => {
  it('keep the old version until the last of them has switched', async () => {
    await put({ password: 'first-password' }, 0)
    await ask('putRotationPolicy', { name: 'prod/db', body: byPolicy, ifMatch: 0 })
    const pods = await startPods(10)
    expect(await fetchAll(pods)).toEqual(Array(10).fill(200))

    const start = await rotate()
    expect([start.status, (start.body['rotation'] as Rotation).state]).toEqual([202, 'pending'])
    await pass(1)
    expect(await state()).toBe('waiting')
    const [first, ...others] = pods
    if (!first) throw new Error('no pod')
    await first.fetch()
    expect(first.held()).toMatchObject({ version: 2 })
    expect(String(first.held()?.data['password'])).toMatch(/^[A-Za-z0-9]{32}$/)

    await pass(20)
    const nine = await view()
    expect([nine['waitingFor'], (nine['rotation'] as Rotation).state]).toEqual([9, 'waiting'])
    const last = others.at(-1)
    for (const pod of others.slice(0, -1)) await pod.fetch()
    await pass(20)
    expect([(await view())['waitingFor'], await state()]).toEqual([1, 'waiting'])
    // The old one works until then, for all readers.
    if (!last) throw new Error('no pod')
    expect((await readOld(last, 1)).status).toBe(200)
    await last.fetch()
    await pass(20)
    expect(await state()).toBe('retired')
    expect((await readOld(first, 1)).status).toBe(404)
    expect((await first.fetch()).status).toBe(200)
    const [newer, older] = (await ask('listSecretVersions', { name: 'prod/db' })).body['items'] as object[]
    expect(newer).not.toHaveProperty('retiredAt')
    expect(older).toHaveProperty('retiredAt')
  })

  it('lose the old version at the deadline if the policy says so, and the log names the remaining holders', async () => {
    await put({ password: 'first-password' }, 0)
    const pods = await startPods(10)
    await fetchAll(pods)
    await rotate({ data: { password: 'second-password' }, deadlineSeconds: 600, onDeadline: 'retire' })
    await pass(1)
    await pods[0]?.fetch()
    await pass(500)
    expect(await state()).toBe('waiting')
    await pass(120)
    expect(await state()).toBe('retired')
    const log = (await readLog(purser)).filter((entry) => /^secret\.(rotate|retire)$/.test(entry.action))
    expect(log.map((entry) => [entry.action, entry.outcome, entry.actor.kind])).toEqual([
      ['secret.rotate', 'intended', 'operator'],
      ['secret.rotate', 'completed', 'system'],
      ['secret.retire', 'completed', 'system'],
    ])
    const detail = log[2]?.detail ?? {}
    expect(detail).toMatchObject({ why: 'deadline', versions: [1] })
    expect(namesIn(detail['stillHeldBy']).toSorted()).toEqual(
      pods
        .slice(1)
        .map((pod) => pod.session)
        .toSorted(),
    )
    expect(JSON.stringify(log)).not.toContain('second-password')
  })
})

describe('twenty live consumers, two of them stuck', () => {
  let pods: Pod[]
  let stuck: string[]

  beforeEach(async () => {
    await put({ password: 'first-password' }, 0)
    await ask('putRotationPolicy', {
      name: 'prod/db',
      body: { ...byPolicy, deadlineSeconds: 600, onDeadline: 'hold' },
      ifMatch: 0,
    })
    pods = await startPods(20)
    await fetchAll(pods)
    await rotate()
    await pass(1)
    await fetchAll(pods.slice(2))
    stuck = pods.slice(0, 2).map((pod) => pod.session)
    await pass(20)
    expect([(await view())['waitingFor'], await state()]).toEqual([2, 'waiting'])
  })

  it('are listed with the facts of each', async () => {
    const { body } = await ask('listConsumers', { name: 'prod/db', query: { limit: '50' } })
    const items = body['items'] as Record<string, unknown>[]
    expect(items).toHaveLength(20)
    const [consumer] = items.filter((item) => item['holder'] === stuck[0])
    expect(consumer).toEqual({
      holder: stuck[0],
      standing: 'live',
      session: stuck[0],
      workload: 'shop',
      spiffeId: 'spiffe://example.org/lab/shop',
      selectors: { 'oidc:sub': 'pod-0' },
      address: '127.0.0.1',
      version: 1,
      fetchedAt: expect.any(String),
      aliveUntil: expect.any(String),
      watching: false,
      moved: false,
      excused: false,
      waitedFor: true,
    })
    expect(namesIn(items.filter((item) => item['waitedFor']).map((item) => item['holder'])).toSorted()).toEqual(
      stuck.toSorted(),
    )
    expect(items.filter((item) => item['moved'])).toHaveLength(18)
  })

  it('extend: the deadline moves, and the rotation continues to wait', async () => {
    const before = (await view())['rotation'] as Rotation
    expect(fault(await steer({ do: 'extend' }))).toBe('400 invalid_request /seconds')
    const { body } = await steer({ do: 'extend', seconds: 3600 })
    const { deadlineAt = '' } = body['rotation'] as Rotation
    expect(Date.parse(deadlineAt) - Date.parse(before.deadlineAt ?? '')).toBe(3600_000)
    await pass(1000)
    expect(await state()).toBe('waiting')
    await pass(3600)
    expect(await state()).toBe('held')
  })

  it('hold: the rotation waits for an operator, also past the deadline', async () => {
    expect(((await steer({ do: 'hold' })).body['rotation'] as Rotation).state).toBe('held')
    await pass(100_000)
    expect(await state()).toBe('held')
    const reveal = { 'purser-reason': 'test' }
    expect((await purser.asAdmin('GET', '/api/v1/secrets/prod/db?version=1', undefined, reveal)).status).toBe(200)
    await steer({ do: 'extend', seconds: 60 })
    expect(await state()).toBe('waiting')
  })

  it('retire: the old version ends now, and the log names its holders', async () => {
    await steer({ do: 'retire' })
    await pass(1)
    expect(await state()).toBe('retired')
    expect((await pods[0]?.fetch('db?version=1'))?.status).toBe(404)
    expect((await pods[0]?.fetch())?.status).toBe(200)
    const entry = (await readLog(purser)).findLast(({ action }) => action === 'secret.retire')
    expect(entry?.detail).toMatchObject({ why: 'operator' })
    expect(namesIn(entry?.detail?.['stillHeldBy']).toSorted()).toEqual(stuck.toSorted())
  })

  it('excuse: holders one by one until the rotation ends; an unknown holder is refused', async () => {
    expect(fault(await steer({ do: 'excuse' }))).toBe('400 invalid_request /session')
    expect(fault(await steer({ do: 'excuse', session: 'ses_nobody' }))).toBe('422 impossible /session')
    const { body } = await steer({ do: 'excuse', session: stuck[0] })
    expect([body['waitingFor'], (body['rotation'] as Rotation).state]).toEqual([1, 'waiting'])
    await pass(10)
    expect(await state()).toBe('waiting')
    await steer({ do: 'excuse', session: stuck[1] })
    await pass(1)
    expect(await state()).toBe('retired')
  })

  it('excuse: keeps the old version while others hold it', async () => {
    await steer({ do: 'hold' })
    await steer({ do: 'excuse', session: stuck[0] })
    await pods[1]?.fetch()
    await pass(20)
    expect([(await view())['waitingFor'], await state()]).toEqual([0, 'held'])
    await steer({ do: 'retire' })
    await pass(1)
    expect(await state()).toBe('retired')
  })

  it('cancel: the earlier value is live again as a new version, and the rotation waits for consumers of the withdrawn one', async () => {
    const [old] = pods
    const { body } = await steer({ do: 'cancel' })
    const [cancelled] = body['history'] as Rotation[]
    expect([cancelled?.state, body['rotation']]).toMatchObject(['rolled_back', { rollbackTo: 1, toVersion: 3 }])
    await pass(1)
    await old?.fetch('db?version=3')
    expect(old?.held()).toEqual({ version: 3, data: { password: 'first-password' } })
    // Those that switched hold the withdrawn version; the other stuck one has held the right value all the time.
    expect([(await view())['waitingFor'], await state()]).toEqual([18, 'waiting'])
    await fetchAll(pods.slice(2))
    await pass(20)
    expect(await state()).toBe('retired')
    expect((await pods[3]?.fetch('db?version=2'))?.status).toBe(404)
    expect((await pods[3]?.fetch())?.body['data']).toEqual({ password: 'first-password' })
  })

  it('rollback: only to a version that still works', async () => {
    const back = (toVersion: number) => ask('rollBackSecret', { name: 'prod/db', body: { toVersion } })
    expect(fault(await back(2))).toBe('422 impossible /toVersion')
    expect(fault(await back(7))).toBe('422 impossible /toVersion')
    expect((await back(1)).status).toBe(202)
    await pass(1)
    await fetchAll(pods)
    await pass(20)
    expect(await state()).toBe('retired')
    expect(fault(await back(2))).toBe('409 conflict')
  })

  it('end with their sessions: ended by the holder, revoked, or expired', async () => {
    await pods[0]?.leave()
    await pass(20)
    expect((await view())['waitingFor']).toBe(1)
    await ask('createRevocation', { body: { session: stuck[1] } })
    await pass(20)
    expect(await state()).toBe('retired')
  })

  it('are in the metrics, and in the list of running rotations', async () => {
    const { text } = await purser.asAdmin('GET', '/metrics')
    expect(text).toMatch(/^purser_rotations\{state="waiting"\} 1$/m)
    expect(Number(/^purser_rotation_oldest_seconds (\S+)$/m.exec(text)?.[1])).toBeGreaterThan(20)
    const { body } = await ask('listRotations', { query: { prefix: 'prod/' } })
    expect(body['items']).toMatchObject([{ path: 'prod/db', state: 'waiting' }])
    expect((await ask('listRotations', { query: { prefix: 'test/' } })).body['items']).toEqual([])
  })

  it('prevent other writes during the rotation', async () => {
    const tryOtherWrites = async () => [
      fault(await put({ password: 'third' }, 2)),
      fault(await ask('patchSecret', { name: 'prod/db', body: { data: { a: 1 } }, ifMatch: 2 })),
      fault(await ask('deleteSecret', { name: 'prod/db', ifMatch: 2 })),
      fault(await ask('destroySecret', { name: 'prod/db', body: { versions: [1] } })),
      fault(await ask('destroySecret', { name: 'prod/db', body: { all: true } })),
      fault(await rotate()),
    ]
    expect(await tryOtherWrites()).toEqual(Array(6).fill('409 conflict'))
    await steer({ do: 'retire' })
    await pass(1)
    expect(await put({ password: 'third' }, 2)).toMatchObject({ status: 200, body: { version: 3 } })
    expect(fault(await steer({ do: 'hold' }))).toBe('409 conflict')
  })
})
