/** Rotations with many replicas, and their continuation after a stop at each step. */
import { type Server, createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { delayAfter } from '../../src/jobs/rotation-attempt.ts'
import { type Clock, createClock } from '../support/clock.ts'
import { createPods } from '../support/consumers.ts'
import { readLog } from '../support/operator.ts'
import { type TestPurser, startPurser, startReplica } from '../support/purser.ts'

let running: TestPurser[] = []
let target: Server | undefined
afterEach(async () => {
  // The first replica owns the database.
  for (const purser of running.toReversed()) await purser.stop()
  running = []
  target?.close()
})

async function replicas(clock: Clock, count: number, env: Record<string, string> = {}): Promise<TestPurser[]> {
  const first = await startPurser({ store: 'postgres', env, now: clock.now })
  running.push(first)
  while (running.length < count) running.push(await startReplica(first, { env, now: clock.now }))
  return running
}

type WebhookRequest = { path: string; version: number; data: unknown; rotationId: string; attempt: number }

/** Confirms each request; `meanwhile` delays its answers. */
async function startTarget(): Promise<{
  origin: string
  requests: WebhookRequest[]
  meanwhile: (work: (() => Promise<void>) | undefined) => void
}> {
  const requests: WebhookRequest[] = []
  let between: (() => Promise<void>) | undefined
  target = createServer((request, response) => {
    let text = ''
    request.on('data', (chunk: Buffer) => (text += chunk.toString()))
    request.on('end', () => {
      const body: WebhookRequest = JSON.parse(text)
      requests.push(body)
      void (between?.() ?? Promise.resolve()).then(() =>
        response
          .writeHead(200, { 'content-type': 'application/json' })
          .end(JSON.stringify({ confirmed: true, rotationId: body.rotationId })),
      )
    })
  })
  await new Promise<void>((resolve) => target?.listen(0, '127.0.0.1', resolve))
  const origin = `http://127.0.0.1:${(target.address() as AddressInfo).port}`
  return { origin, requests, meanwhile: (work) => void (between = work) }
}

const webhookPolicy = (origin: string, more: object = {}) => ({
  rotator: { kind: 'webhook', url: `${origin}/`, generate: { password: { length: 32, alphabet: 'alphanumeric' } } },
  ...more,
})

async function keep(purser: TestPurser, path: string, policy: object): Promise<void> {
  await purser.asAdmin('PUT', `/api/v1/secrets/${path}`, { data: { password: 'first' } }, { 'if-match': '"0"' })
  const headers = { 'if-match': '"0"', 'purser-reason': 'the target of the test' }
  await purser.asAdmin('PUT', `/api/v1/secrets/${path}:rotation`, policy, headers)
}
const rotate = (purser: TestPurser, path: string) => purser.asAdmin('POST', `/api/v1/secrets/${path}:rotate`, {})
const stateOf = async (purser: TestPurser, path: string): Promise<{ state: string; toVersion: number }> =>
  (await purser.asAdmin('GET', `/api/v1/secrets/${path}:rotation`)).body['rotation'] as never

const outcomes = async (purser: TestPurser, path: string): Promise<string[]> =>
  (await readLog(purser))
    .filter((entry) => entry.resource?.name === path && /^secret\.(?:rotate|retire)$/.test(entry.action))
    .map((entry) => `${entry.action} ${entry.outcome}`)

const once = ['secret.rotate intended', 'secret.rotate completed', 'secret.retire intended', 'secret.retire completed']

describe('three replicas on one Postgres', () => {
  it('begin each due rotation once, call its target once, and end it once', async () => {
    const clock = createClock(new Date('2026-11-25T12:00:30Z'))
    const { origin, requests } = await startTarget()
    const all = await replicas(clock, 3, { PURSER_FETCH_ALLOW: origin })
    const [first] = all
    if (!first) throw new Error('none')
    const paths = Array.from({ length: 12 }, (_, n) => `prod/s${n}`)
    for (const path of paths) await keep(first, path, webhookPolicy(origin, { schedule: { cron: '0 * * * *' } }))

    for (let round = 1; round <= 2; round++) {
      clock.advance(3600)
      for (let n = 0; n < 6; n++) {
        await Promise.all(all.map((purser) => purser.runJobs()))
        clock.advance(1)
      }
      const done = Array.from({ length: round }, () => once).flat()
      await expect
        .poll(
          async () => {
            await Promise.all(all.map((purser) => purser.runJobs()))
            clock.advance(1)
            return Promise.all(paths.map((path) => outcomes(first, path)))
          },
          { timeout: 30_000 },
        )
        .toEqual(paths.map(() => done))
    }
    // Each target received one value for each version, and never twice.
    const calls = requests.map(({ path, version }) => `${path} ${version}`)
    expect(calls.toSorted()).toEqual(paths.flatMap((path) => [`${path} 2`, `${path} 3`]).toSorted())
  })
})

describe('an interrupted rotation', () => {
  it('continues elsewhere with its staged value', async () => {
    const clock = createClock()
    const { origin, requests } = await startTarget()
    const [first, second] = await replicas(clock, 2, { PURSER_FETCH_ALLOW: origin })
    if (!first || !second) throw new Error('none')
    await keep(first, 'prod/db', webhookPolicy(origin))
    await rotate(first, 'prod/db')
    await expect.poll(() => second.runJobs().then(() => requests.length), { timeout: 10_000 }).toBeGreaterThan(0)
    clock.advance(1)
    await expect.poll(() => second.runJobs().then(() => outcomes(first, 'prod/db')), { timeout: 10_000 }).toEqual(once)
  })

  it('between the effect and its record continues after the claim has expired, with the same value', async () => {
    const clock = createClock()
    const { origin, requests, meanwhile } = await startTarget()
    const [first, second] = await replicas(clock, 2, { PURSER_FETCH_ALLOW: origin })
    if (!first || !second) throw new Error('none')
    await keep(first, 'prod/db', webhookPolicy(origin))
    // As if the calling process had died: while its target answers, its claim expires and another process completes.
    let isTaken = false
    meanwhile(async () => {
      if (isTaken) return
      isTaken = true
      clock.advance(200)
      await expect
        .poll(() => second.runJobs().then(async () => (await stateOf(second, 'prod/db')).state), { timeout: 20_000 })
        .not.toBe('pending')
    })
    await rotate(first, 'prod/db')
    await first.runJobs()
    await expect.poll(async () => (await stateOf(first, 'prod/db')).state, { timeout: 10_000 }).not.toBe('pending')
    clock.advance(2)
    await expect.poll(() => first.runJobs().then(() => outcomes(first, 'prod/db')), { timeout: 10_000 }).toEqual(once)
    expect(requests).toHaveLength(2)
    expect(requests[0]?.data).toEqual(requests[1]?.data)
    expect(new Set(requests.map((request) => request.rotationId)).size).toBe(1)
    expect(requests.map((request) => request.attempt)).toEqual([1, 2])
  })

  it('claimed by a process that died ends in a stated state, at every step', async () => {
    const clock = createClock()
    const { origin } = await startTarget()
    const [purser] = await replicas(clock, 1, { PURSER_FETCH_ALLOW: origin })
    if (!purser) throw new Error('none')
    await keep(purser, 'prod/db', webhookPolicy(origin, { onDeadline: 'retire', deadlineSeconds: 10_000 }))
    const { start } = await createPods(purser, clock, ['pod-0'])
    const pod = await start('pod-0')
    await pod.fetch()
    await rotate(purser, 'prod/db')
    const claim = () =>
      purser
        .knex('rotation')
        .whereNull('ended_at')
        .update({ locked_until: new Date(clock.now().getTime() + 120_000) })
    const runs = async (seconds: number): Promise<string> => {
      clock.advance(seconds)
      for (let n = 0; n < 3; n++) {
        await purser.runJobs()
        clock.advance(1)
      }
      return (await stateOf(purser, 'prod/db')).state
    }
    await claim()
    expect(await runs(60)).toBe('pending')
    expect(await runs(60)).toBe('waiting')
    await claim()
    await pod.fetch()
    expect(await runs(60)).toBe('waiting')
    expect(await runs(120)).toBe('retired')
    expect(await outcomes(purser, 'prod/db')).toEqual(once)
  })
})

describe('a schedule', () => {
  const policy = (schedule: object) => ({
    rotator: { kind: 'generated', fields: { password: { length: 32, alphabet: 'hex' } } },
    schedule,
  })

  it('skips a rotation that could not begin in its window, and records it', async () => {
    const clock = createClock(new Date('2026-11-25T12:00:30Z'))
    const [purser] = await replicas(clock, 1)
    if (!purser) throw new Error('none')
    await keep(purser, 'prod/db', policy({ cron: '0 * * * *', windowSeconds: 600 }))
    clock.advance(3600 + 1200)
    await purser.runJobs()
    expect(await outcomes(purser, 'prod/db')).toEqual(['secret.rotate failed'])
    const entry = (await readLog(purser)).at(-1)
    expect(entry?.detail).toEqual({
      requestedBy: 'schedule',
      error: 'missed: its window has passed',
      nextAt: '2026-11-25T14:00:00.000Z',
    })
    clock.advance(2400)
    await purser.runJobs()
    expect(await outcomes(purser, 'prod/db')).toContain('secret.rotate intended')
  })

  it('waits for the previous rotation, and for no window', async () => {
    const clock = createClock(new Date('2026-11-25T12:00:30Z'))
    const [purser] = await replicas(clock, 1)
    if (!purser) throw new Error('none')
    await keep(purser, 'prod/db', policy({ cron: '*/10 * * * *' }))
    const { start } = await createPods(purser, clock, ['pod-0'])
    const pod = await start('pod-0')
    await pod.fetch()
    const runs = async (seconds: number): Promise<number> => {
      clock.advance(seconds)
      for (let n = 0; n < 4; n++) {
        await purser.runJobs()
        clock.advance(1)
      }
      return (await stateOf(purser, 'prod/db')).toVersion
    }
    expect(await runs(600)).toBe(2)
    expect(await runs(600)).toBe(2)
    await pod.fetch()
    expect(await runs(20)).toBe(3)
  })
})

it('delays grow to an hour, with jitter', () => {
  const low = () => Buffer.from([0, 0])
  const high = () => Buffer.from([255, 255])
  const delays = [1, 2, 3, 8, 12, 100, 5000].map((n) => delayAfter(n, low))
  expect(delays).toEqual([1, 2, 4, 128, 1800, 1800, 1800])
  expect(delayAfter(5000, high)).toBeLessThanOrEqual(3600)
  expect(delayAfter(1, high)).toBeLessThanOrEqual(2)
})
