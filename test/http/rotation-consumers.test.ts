/** The consumers that a rotation waits for: a session that can no longer authenticate delays no rotation. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Clock, createClock } from '../support/clock.ts'
import { type Pod, createPods } from '../support/consumers.ts'
import { type Ask, createAsk, fault, readLog } from '../support/operator.ts'
import { type Answer, type TestPurser, startPurser } from '../support/purser.ts'

const policy = { rotator: { kind: 'generated', fields: { password: { length: 32, alphabet: 'alphanumeric' } } } }
const day = 86_400

type Rotation = { id: string; state: string; onDeadline: string; deadlineSeconds: number; deadlineAt: string }
type View = { version: number; rotation?: Rotation; history: Rotation[]; waitingFor?: number }

let clock: Clock
let purser: TestPurser
let ask: Ask
let pods: Awaited<ReturnType<typeof createPods>>

beforeEach(async () => {
  clock = createClock()
  purser = await startPurser({ store: 'postgres', now: clock.now })
  ask = createAsk(purser)
  pods = await createPods(purser, clock, ['pod-0', 'pod-1'])
  await ask('putSecret', { name: 'prod/db', body: { data: { password: 'first-password' } }, ifMatch: 0 })
  await ask('putRotationPolicy', { name: 'prod/db', body: policy, ifMatch: 0 })
})
afterEach(() => purser.stop())

const rotate = (body: object = {}): Promise<Answer> => ask('rotateSecret', { name: 'prod/db', body })
const view = async (): Promise<View> => (await ask('getRotation', { name: 'prod/db' })).body as unknown as View
const state = async (): Promise<string | undefined> => (await view()).rotation?.state
const standings = async (): Promise<unknown[]> => {
  const { body } = await ask('listConsumers', { name: 'prod/db' })
  return (body.items as { standing: string; waitedFor: boolean }[]).map((row) => [row.standing, row.waitedFor])
}

async function pass(seconds: number): Promise<void> {
  clock.advance(seconds)
  for (let runs = 0; runs < 4; runs++) {
    await purser.runJobs()
    clock.advance(1)
  }
}

/** A pod that holds the first version while the second one is live. */
async function startWaiting(): Promise<Pod> {
  const pod = await pods.start('pod-0')
  await pod.fetch()
  expect(fault(await rotate())).toBe('202 ')
  await pass(1)
  expect((await view()).waitingFor).toBe(1)
  return pod
}

async function rewriteShop(change: Record<string, unknown>): Promise<void> {
  const { body, headers } = await ask('getWorkload', { name: 'shop' })
  const members = ['name', 'attestor', 'match', 'spiffeId', 'grants', 'maxSessionSeconds']
  const definition = Object.fromEntries(Object.entries(body).filter(([name]) => members.includes(name)))
  const ifMatch = { 'if-match': headers.get('etag') ?? '' }
  await purser.asAdmin('PUT', '/api/v1/workloads/shop', { ...definition, ...change }, ifMatch)
}

const ends: [string, (pod: Pod) => Promise<unknown>, string][] = [
  ['whose entry is disabled', () => purser.asAdmin('POST', '/api/v1/workloads/shop:disable'), 'ended'],
  [
    'whose entry is removed',
    () => purser.asAdmin('DELETE', '/api/v1/workloads/shop', undefined, { 'if-match': '"1"' }),
    'ended',
  ],
  ['whose facts the entry no longer matches', () => rewriteShop({ match: { 'oidc:sub': 'pod-1' } }), 'ended'],
  ['whose entry makes another SPIFFE ID', () => rewriteShop({ spiffeId: 'spiffe://example.org/lab/other' }), 'ended'],
  [
    'whose SPIFFE ID is blocked',
    () => purser.asAdmin('POST', '/api/v1/revocations', { spiffeId: 'spiffe://example.org/lab/shop' }),
    'contained',
  ],
]

describe('a rotation', () => {
  it.each(ends)('does not wait for a session %s', async (_, end, standing) => {
    const pod = await startWaiting()
    await end(pod)
    expect((await pod.fetch()).status).toBe(401)
    expect(await standings()).toEqual([[standing, false]])
    expect((await view()).waitingFor ?? 0).toBe(0)
    await pass(20)
    expect(await state()).toBe('retired')
  })

  it('waits again for a session whose entry was disabled temporarily', async () => {
    const pod = await startWaiting()
    await purser.asAdmin('POST', '/api/v1/workloads/shop:disable')
    await purser.asAdmin('POST', '/api/v1/workloads/shop:enable')
    expect(await standings()).toEqual([['live', true]])
    expect((await pod.fetch()).status).toBe(200)
  })

  it('has a deadline of seven days, and retires the old versions then, unless its policy says otherwise', async () => {
    await startWaiting()
    expect((await view()).rotation).toMatchObject({ deadlineSeconds: 7 * day, onDeadline: 'retire' })
    await pass(6 * day)
    expect(await state()).toBe('waiting')
    await pass(day)
    expect(await state()).toBe('retired')
    const read = { token: purser.admin, headers: { 'purser-reason': 'test' } }
    expect((await purser.call('GET', '/api/v1/secrets/prod/db?version=1', undefined, read)).status).toBe(404)
    expect((await purser.call('GET', '/api/v1/secrets/prod/db?version=2', undefined, read)).status).toBe(200)
  })

  it('keeps the terms of its policy', async () => {
    const body = { ...policy, deadlineSeconds: 3600, onDeadline: 'alert' }
    await ask('putRotationPolicy', { name: 'prod/db', body, ifMatch: 1 })
    await startWaiting()
    expect((await view()).rotation).toMatchObject({ deadlineSeconds: 3600, onDeadline: 'alert' })
    await pass(3700)
    expect(await state()).toBe('waiting')
  })

  it('does not wait again for a consumer that has switched and reads the old version later', async () => {
    const pod = await startWaiting()
    const other = await pods.start('pod-1')
    await other.fetch('db?version=1')
    await pod.fetch()
    clock.advance(120)
    expect((await pod.fetch('db?version=1')).status).toBe(200)
    expect((await view()).waitingFor).toBe(1)
    await other.fetch()
    clock.advance(120)
    await other.fetch('db?version=1')
    await pass(20)
    expect(await state()).toBe('retired')
  })
})

describe('an emergency rotation', () => {
  it('supersedes a waiting rotation only with supersede', async () => {
    const pod = await startWaiting()
    const before = (await view()).rotation
    expect(fault(await rotate())).toBe('409 conflict')
    const answer = await rotate({ supersede: true, deadlineSeconds: 0 })
    expect(fault(answer)).toBe('202 ')
    const { history } = await view()
    expect(history[0]).toMatchObject({ id: before?.id, state: 'superseded' })
    const entries = (await readLog(purser)).filter((entry) => entry.action === 'secret.rotate')
    expect(entries.at(-1)).toMatchObject({ outcome: 'intended', detail: { superseded: before?.id } })
    await pass(20)
    expect(await state()).toBe('retired')
    expect((await view()).version).toBe(3)
    expect([(await pod.fetch('db?version=1')).status, (await pod.fetch('db?version=2')).status]).toEqual([404, 404])
  })

  it('waits for the consumers of every version before it', async () => {
    const first = await startWaiting()
    const second = await pods.start('pod-1')
    await second.fetch()
    await rotate({ supersede: true })
    await pass(1)
    expect((await view()).waitingFor).toBe(2)
    await second.fetch()
    await pass(20)
    expect(await state()).toBe('waiting')
    await first.fetch()
    await pass(20)
    expect(await state()).toBe('retired')
  })

  it('supersedes a held rotation, and begins if none runs', async () => {
    await startWaiting()
    await ask('steerRotation', { name: 'prod/db', body: { do: 'hold' } })
    expect(fault(await rotate({ supersede: true, deadlineSeconds: 0 }))).toBe('202 ')
    await pass(20)
    expect(await state()).toBe('retired')
    expect(fault(await rotate({ supersede: true }))).toBe('202 ')
  })

  it('does not supersede a rotation whose value is not live yet', async () => {
    expect(fault(await rotate())).toBe('202 ')
    expect(fault(await rotate({ supersede: true }))).toBe('409 conflict')
  })
})
