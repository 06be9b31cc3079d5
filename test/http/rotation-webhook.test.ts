/** The webhook rotator: called with the same value until it confirms, with Purser's signature; failures are visible. */
import { createHash } from 'node:crypto'
import { type Server, createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createLocalJWKSet, jwtVerify } from 'jose'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Clock, createClock } from '../support/clock.ts'
import { type Pod, createPods } from '../support/consumers.ts'
import { type Ask, createAsk, fault, readLog } from '../support/operator.ts'
import { type TestPurser, audience, startPurser } from '../support/purser.ts'

type WebhookCall = { path: string; version: number; data: { password: string }; rotationId: string; attempt: number }
type Rotation = { id: string; state: string; attempts: number; lastError?: string; nextAttemptAt?: string }

let clock: Clock
let purser: TestPurser
let ask: Ask
let target: Server
let url: string
let calls: { body: WebhookCall; text: string; signature: string }[]
/** The target's reply. Default: a confirmation. */
let answer: ((call: WebhookCall) => { status?: number; body: string }) | undefined

beforeEach(async () => {
  clock = createClock()
  calls = []
  answer = undefined
  target = createServer((request, response) => {
    let text = ''
    request.on('data', (chunk: Buffer) => (text += chunk.toString()))
    request.on('end', () => {
      const body: WebhookCall = JSON.parse(text)
      calls.push({ body, text, signature: String(request.headers['purser-signature']) })
      const { status = 200, body: replyBody } = answer?.(body) ?? { body: confirmed(body) }
      response.writeHead(status, { 'content-type': 'application/json' }).end(replyBody)
    })
  })
  await new Promise<void>((resolve) => target.listen(0, '127.0.0.1', resolve))
  const origin = `http://127.0.0.1:${(target.address() as AddressInfo).port}`
  url = `${origin}/rotate`
  purser = await startPurser({ store: 'postgres', now: clock.now, env: { PURSER_FETCH_ALLOW: origin } })
  ask = createAsk(purser)
  await ask('putSecret', { name: 'prod/db', body: { data: { user: 'app', password: 'first-password' } }, ifMatch: 0 })
  await policy()
})
afterEach(async () => {
  await purser.stop()
  target.close()
})

const confirmed = ({ rotationId }: WebhookCall): string => JSON.stringify({ confirmed: true, rotationId })
const policy = (more: object = {}, ifMatch = 0) =>
  ask('putRotationPolicy', {
    name: 'prod/db',
    body: {
      rotator: { kind: 'webhook', url, generate: { password: { length: 40, alphabet: 'url-safe' } } },
      onDeadline: 'hold',
      ...more,
    },
    ifMatch,
    reason: 'the service of the lab',
  })

async function pass(seconds: number): Promise<void> {
  clock.advance(seconds)
  for (let n = 0; n < 3; n++) {
    await purser.runJobs()
    clock.advance(1)
  }
}
const view = async () => (await ask('getRotation', { name: 'prod/db' })).body
const rotation = async (): Promise<Rotation> => (await view())['rotation'] as Rotation
const rotate = (body: object = {}) => ask('rotateSecret', { name: 'prod/db', body })
const steer = (body: object) => ask('steerRotation', { name: 'prod/db', body })
const reveal = async () =>
  (await purser.asAdmin('GET', '/api/v1/secrets/prod/db', undefined, { 'purser-reason': 'test' })).body
const outcomes = async (): Promise<string[]> =>
  (await readLog(purser))
    .filter((entry) => /^secret\.(?:rotat|retire|rollback)/.test(entry.action) && entry.change === undefined)
    .map((entry) => `${entry.action} ${entry.outcome}`)

async function startPod(): Promise<Pod> {
  const { start } = await createPods(purser, clock, ['pod-0'])
  return start('pod-0')
}

describe('a webhook', () => {
  it('receives the value before any consumer, with the name of the sender', async () => {
    answer = (body) => ({ body: confirmed(body) })
    await rotate()
    await pass(0)
    const [call] = calls
    expect(calls).toHaveLength(1)
    expect(call?.body).toMatchObject({ path: 'prod/db', version: 2, data: { user: 'app' }, attempt: 1 })
    expect(await reveal()).toMatchObject({ version: 2, data: call?.body.data })
    expect(call?.body.data.password).toMatch(/^[\w-]{40}$/)

    const { body: keys } = await purser.call('GET', '/keys')
    const { payload, protectedHeader } = await jwtVerify(
      call?.signature ?? '',
      createLocalJWKSet(keys as unknown as Parameters<typeof createLocalJWKSet>[0]),
      { issuer: audience, audience: url, algorithms: ['ES256'], typ: 'purser-rotation+jwt', currentDate: clock.now() },
    )
    expect(payload['body_sha256']).toBe(
      createHash('sha256')
        .update(call?.text ?? '')
        .digest('base64'),
    )
    expect([payload.sub, protectedHeader.alg]).toEqual([undefined, 'ES256'])
    expect(await outcomes()).toEqual([
      'secret.rotate intended',
      'secret.rotate completed',
      'secret.retire intended',
      'secret.retire completed',
    ])
  })

  it('that fails is reported, and receives the same value until it confirms; its reply is not stored', async () => {
    answer = () => ({ status: 500, body: 'remote-secret-words' })
    const pod = await startPod()
    await pod.fetch()
    const { body: start } = await rotate()
    await pass(0)
    const failing = await rotation()
    expect(failing).toMatchObject({ state: 'pending', lastError: 'bad_status: the server answered 500' })
    expect(Date.parse(failing.nextAttemptAt ?? '')).toBeGreaterThan(clock.now().getTime() - 3000)
    expect((await pod.fetch()).body['version']).toBe(1)
    answer = () => ({ body: '{"ok":true,"words":"remote-secret-words"}' })
    await pass(3600)
    expect((await rotation()).lastError).toMatch(/^not_confirmed: /)
    answer = (body) => ({ body: JSON.stringify({ confirmed: true, rotationId: `${body.rotationId}x` }) })
    await pass(3600)
    expect((await rotation()).lastError).toMatch(/^not_confirmed: /)
    const { text: metrics } = await purser.asAdmin('GET', '/metrics')
    const failures = Number(/rotation_attempt_failures_total\{step="secret.rotate"\} (\d+)/.exec(metrics)?.[1])
    expect(failures).toBeGreaterThanOrEqual(3)

    answer = undefined
    await pass(3600)
    expect(await rotation()).toMatchObject({ state: 'waiting', id: (start['rotation'] as Rotation).id })
    expect(await rotation()).not.toHaveProperty('lastError')
    expect(new Set(calls.map(({ body }) => JSON.stringify([body.data, body.version, body.rotationId]))).size).toBe(1)
    expect(calls.map(({ body }) => body.attempt)).toEqual(calls.map((_, n) => n + 1))
    expect(await reveal()).toMatchObject({ version: 2, data: calls[0]?.body.data })
    const failed = (await readLog(purser)).filter(({ outcome }) => outcome === 'failed')
    expect(failed).toHaveLength(failures)
    const text = JSON.stringify([await readLog(purser), purser.logs, metrics, await view()])
    expect(text).not.toContain('remote-secret-words')
    expect(text).not.toContain(calls[0]?.body.data.password)
  })

  it('receives the live value again if a rotation is cancelled after an attempt', async () => {
    answer = () => ({ status: 503, body: '{}' })
    await rotate()
    await pass(0)
    const { body } = await steer({ do: 'cancel' })
    expect(body['rotation']).toMatchObject({ state: 'pending', undoing: true })
    expect(fault(await steer({ do: 'cancel' }))).toBe('409 conflict')
    // That fails too, with a visible error; the next attempt succeeds.
    await pass(0)
    expect(await rotation()).toMatchObject({ state: 'pending', lastError: 'bad_status: the server answered 503' })
    answer = undefined
    await pass(3600)
    expect(await rotation()).toMatchObject({ state: 'failed', lastError: 'cancelled' })
    expect(calls.at(-1)?.body).toMatchObject({ version: 1, data: { user: 'app', password: 'first-password' } })
    expect(await reveal()).toMatchObject({ version: 1, data: { password: 'first-password' } })
    // Its version is never used again.
    await rotate()
    await pass(0)
    expect(await reveal()).toMatchObject({ version: 3 })
  })

  it('receives the earlier value if the new one is rolled back', async () => {
    const pod = await startPod()
    await pod.fetch()
    await rotate()
    await pass(0)
    expect((await rotation()).state).toBe('waiting')
    await ask('rollBackSecret', { name: 'prod/db', body: { toVersion: 1 } })
    await pass(0)
    expect(calls.at(-1)?.body).toMatchObject({ version: 3, data: { password: 'first-password' } })
    expect(await reveal()).toMatchObject({ version: 3, data: { password: 'first-password' } })
  })

  it('receives nothing without a reason, because it gets earlier values and members that are not generated', async () => {
    const rotator = {
      kind: 'webhook',
      url: `${url}/mine`,
      generate: { password: { length: 40, alphabet: 'url-safe' } },
    }
    const put = (more: object) => ask('putRotationPolicy', { name: 'prod/db', body: { rotator }, ifMatch: 1, ...more })
    expect(fault(await put({}))).toBe('400 invalid_request /header/Purser-Reason')
    expect((await put({ reason: 'a copy of the service' })).status).toBe(200)
    // The same URL needs no further reason.
    expect((await put({ ifMatch: 2 })).status).toBe(200)
    await rotate()
    await pass(0)
    const intended = (await readLog(purser)).find((entry) => entry.action === 'secret.rotate')
    expect(intended).toMatchObject({ outcome: 'intended', detail: { tells: rotator.url, toVersion: 2 } })
  })

  it('accepts a value that the operator supplies, and no PUT at the same time', async () => {
    const put = { name: 'prod/db', body: { data: { password: 'x' } }, ifMatch: 1 }
    expect(fault(await ask('putSecret', put))).toBe('409 conflict')
    expect(fault(await ask('patchSecret', put))).toBe('409 conflict')
    await rotate({ data: { user: 'app', password: 'supplied' } })
    await pass(0)
    expect(calls.map(({ body }) => body.data.password)).toEqual(['supplied'])
  })

  /** A pod holds a version before the live one, and no rotation waits for it any more. */
  async function leaveBehind(): Promise<void> {
    const pod = await startPod()
    await pod.fetch()
    await rotate()
    await pass(0)
    await pod.fetch()
    // Ended without the consumer, and without its version having been retired: the operator cancelled twice.
    await ask('rollBackSecret', { name: 'prod/db', body: { toVersion: 1 } })
    await pass(0)
    await steer({ do: 'excuse', session: pod.session })
    await pass(1)
    expect((await rotation()).state).toBe('retired')
    await purser.knex('secret_version').update({ retired_at: null })
  }

  it('does not begin while a live consumer holds the version before the live one, unless the policy allows it', async () => {
    await leaveBehind()
    const refused = await rotate()
    expect([fault(refused), refused.body['detail']]).toEqual(['409 conflict', expect.stringContaining('allowOverlap')])
    await policy({ allowOverlap: true }, 1)
    expect((await rotate()).status).toBe(202)
  })

  it('that does not begin by its schedule is reported, and recorded once an hour with the reason', async () => {
    await leaveBehind()
    await policy({ schedule: { cron: '0 * * * *' } }, 1)
    expect(await view()).not.toHaveProperty('overdue')
    await pass(3600 + 61)
    await pass(0)
    expect(await view()).toMatchObject({ overdue: true, rotation: { state: 'retired' } })
    const failures = async () =>
      (await readLog(purser)).flatMap(({ action, outcome, detail }) =>
        action === 'secret.rotate' && outcome === 'failed' ? [detail] : [],
      )
    expect(await failures()).toMatchObject([
      { requestedBy: 'schedule', error: expect.stringMatching(/^waits: 1 of its live consumers/) },
    ])
    const { text } = await purser.asAdmin('GET', '/metrics')
    expect(text).toContain('purser_rotations{state="overdue"} 1')
    await policy({ schedule: { cron: '0 * * * *' }, allowOverlap: true }, 2)
    await pass(0)
    expect(await view()).not.toHaveProperty('overdue')
    expect(await failures()).toHaveLength(1)
  })

  it('begins while a live consumer holds the live value under its first version', async () => {
    const pod = await startPod()
    await pod.fetch()
    await rotate()
    await pass(0)
    await ask('rollBackSecret', { name: 'prod/db', body: { toVersion: 1 } })
    await pass(0)
    await pass(20)
    expect((await rotation()).state).toBe('retired')
    expect((await rotate()).status).toBe(202)
    await pass(0)
    await pass(20)
    expect([(await rotation()).state, (await view())['waitingFor']]).toEqual(['waiting', 1])
  })

  it.each([
    ['http://example.com/x', 'https'],
    ['https://user:pass@example.com/x', 'user name'],
    ['https://example.com/x?token=abc', 'query'],
    ['https://example.com/#x', 'fragment'],
  ])('is refused at %s', async (bad, words) => {
    const rotator = { kind: 'webhook', url: bad, generate: { password: { length: 40, alphabet: 'url-safe' } } }
    const refused = await ask('putRotationPolicy', { name: 'prod/db', body: { rotator }, ifMatch: 1 })
    expect(fault(refused)).toBe('422 impossible /rotator/url')
    expect(refused.text).toContain(words)
  })

  it('on the internal network is called only when PURSER_FETCH_ALLOW lists it', async () => {
    const rotator = { kind: 'webhook', url: 'https://127.0.0.1:9/x', generate: { id: { uuid: true } } }
    await ask('putRotationPolicy', { name: 'prod/db', body: { rotator }, ifMatch: 1, reason: 'test' })
    await rotate()
    await pass(0)
    expect((await rotation()).lastError).toMatch(/^not_allowed: /)
  })
})
