/**
 * A server with a broken watch: half events, endless lines, garbage, silence, refusals. The client keeps what it
 * holds, and the process goes on.
 */
import type { ServerResponse } from 'node:http'
import { type ConnectOptions, type Purser, connect } from '@purser/sdk'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { failing } from './failing.ts'
import { type Fake, type Misbehaviour, proofFor, startFake } from './fake-purser.ts'
import { readEvents } from '../../sdk/src/secrets/sse.ts'
import { delayAfter } from '../../sdk/src/time/retry.ts'
import { PurserError } from '../../sdk/src/errors.ts'

const canary = 'correct-horse-battery-staple'
const patience = { timeout: 20_000, interval: 20 }
const path = 'prod/db'

type Act = (response: ServerResponse, nth: number) => void

/** A fake with secrets. `act` answers each opening of the watch, with the live version from `state`. */
async function place(act: Act, more: Misbehaviour = {}, options: ConnectOptions = {}) {
  const state = { version: 1, opened: 0, reads: 0, acks: [] as unknown[], entry: (entry: object): object => entry }
  const read = (fake: Fake, response: ServerResponse, since: number | undefined): void => {
    state.reads++
    const { version } = state
    const requestId = `req_${state.reads}`
    const actor = { kind: 'workload', spiffeId: 'spiffe://example.org/lab/web', session: 'ses_1' }
    const issued = { secrets: [{ path, version }] }
    const entry = state.entry({ v: 1, requestId, action: 'secret.read', outcome: 'granted', actor, issued })
    const receipt = fake.state.log.append(entry as Record<string, unknown>, since)
    const data = { password: `${canary}-${version}` }
    response.writeHead(200, { 'content-type': 'application/json', 'purser-request-id': requestId })
    response.end(
      JSON.stringify({ secrets: [{ path, version, data, metadata: { createdAt: '2026-01-01T00:00:00Z' } }], receipt }),
    )
  }
  const fake: Fake = await startFake({
    plain: true,
    info: (info) => ({ ...info, features: ['x509', 'jwt', 'access-token', 'audit', 'secrets', 'watch'] }),
    handle({ url, json }, response) {
      if (url.startsWith('/api/v1/watch')) {
        act(response, ++state.opened)
        return true
      }
      if (url.endsWith(':ack')) {
        state.acks.push(json['version'])
        response.writeHead(204).end()
        return true
      }
      if (url !== '/api/v1/secrets:read') return false
      read(fake, response, (json['receipt'] as { sinceSize?: number } | undefined)?.sinceSize)
      return true
    },
    ...more,
  })
  const warnings: string[] = []
  const unhandled: unknown[] = []
  const note = (error: unknown): void => void unhandled.push(error)
  process.on('unhandledRejection', note)
  const purser: Purser = await connect({
    addr: fake.url,
    allowPlainLoopback: true,
    proof: proofFor(),
    logKey: fake.state.log.vkey,
    x509: false,
    accessToken: true,
    env: {},
    onWarning: (warning) => warnings.push(warning),
    ...options,
  })
  onTestFinished(() => {
    purser.close()
    process.off('unhandledRejection', note)
    expect(unhandled).toEqual([])
    expect(warnings.join()).not.toContain(canary)
  })
  return { purser, fake, state, warnings }
}

const stream = (response: ServerResponse): ServerResponse =>
  response.writeHead(200, { 'content-type': 'text/event-stream' })
const secretEvent = (version: number): string =>
  `event: secret\ndata: ${JSON.stringify({ path, version, revision: version })}\n\n`
const good = (response: ServerResponse, version: number): void =>
  void stream(response).write(`${secretEvent(version)}event: synced\nid: 1.${version}\ndata: {"complete":true}\n\n`)

/** Broken the first time, then correct. Returns the events of the watch. */
async function recovers(bad: (response: ServerResponse) => void) {
  const errors: string[] = []
  const { purser, state } = await place((response, nth) => {
    if (nth === 1) return bad(response)
    state.version = 2
    good(response, 2)
  })
  expect((await purser.secrets.get(path)).version).toBe(1)
  const versions: number[] = []
  purser.secrets.watch(path, ({ version }) => void versions.push(version)).on('error', ({ code }) => errors.push(code))
  await vi.waitFor(() => expect(versions).toEqual([2]), patience)
  await vi.waitFor(() => expect(state.acks).toEqual([2]), patience)
  return errors
}

describe('a broken stream is reopened, with one warning by its code', () => {
  test.each<[string, (response: ServerResponse) => void, string[]]>([
    [
      'half an event',
      (response) => stream(response).write('event: secret\ndata: {"path":"prod', () => response.destroy()),
      ['incomplete'],
    ],
    ['a line without end', (response) => void stream(response).write(`data: ${'x'.repeat(200_000)}`), ['bad_reply']],
    ['an event without end', (response) => void stream(response).write('data: x\n'.repeat(100_000)), ['bad_reply']],
    ['no UTF-8', (response) => void stream(response).write(Buffer.from([0x64, 0xff, 0xfe, 0x0a])), ['bad_reply']],
    ['no JSON', (response) => void stream(response).write('event: secret\ndata: {path\n\n'), ['bad_reply']],
    [
      'no version',
      (response) => void stream(response).write(`event: secret\ndata: {"path":"${path}","version":"${canary}"}\n\n`),
      ['bad_reply'],
    ],
    [
      'JSON that is not an object',
      (response) => void stream(response).write('event: bundle\ndata: 7\n\n'),
      ['bad_reply'],
    ],
    [
      'another type',
      (response) => void response.writeHead(200, { 'content-type': 'text/html' }).end('<html>'),
      ['bad_reply'],
    ],
    ['503', (response) => void response.writeHead(503).end(), ['refused']],
    [
      '429',
      (response) => void response.writeHead(429, { 'retry-after': '1' }).end('{"code":"rate_limited"}'),
      ['rate_limited'],
    ],
    [
      'a redirect',
      (response) => void response.writeHead(307, { location: 'http://127.0.0.1:1/' }).end(),
      ['redirected'],
    ],
    [
      'an upgrade',
      (response) => void response.writeHead(101, { connection: 'upgrade', upgrade: 'x' }).end(),
      ['bad_reply'],
    ],
    ['no answer', (response) => void response.destroy(), ['unreachable']],
    ['an end at once', (response) => void stream(response).end(), []],
  ])('%s', async (_, bad, codes) => {
    expect(await recovers(bad)).toEqual(codes)
  })

  test('silence before the response head', async () => {
    const { purser, state } = await place((response, nth) => nth > 1 && good(response, 1), {}, { timeoutMs: 300 })
    const errors: string[] = []
    const versions: number[] = []
    purser.secrets
      .watch(path, ({ version }) => void versions.push(version))
      .on('error', ({ code }) => errors.push(code))
    await vi.waitFor(() => expect(versions).toEqual([1]), patience)
    expect([errors, state.reads]).toEqual([['timeout'], 1])
  })
})

test('secrets that are not watched, unknown events and comments are ignored', async () => {
  const { purser, state } = await place((response) => {
    stream(response).write(
      `:\n\n: hello\n\nevent: news\ndata: x\n\nevent: secret\ndata: {"path":"other/x","version":9}\n\nretry: 1\n\n${secretEvent(1).replaceAll('\n', '\r\n')}`,
    )
  })
  const paths: string[] = []
  purser.secrets.watch(path, (secret) => void paths.push(`${secret.path} ${secret.version}`))
  await vi.waitFor(() => expect(paths).toEqual([`${path} 1`]), patience)
  expect(state.reads).toBe(1)
})

test('an announced version that is not available yet is requested again, with pauses; an older one is never accepted', async () => {
  const { purser, state } = await place((response) => good(response, 3))
  state.version = 3
  expect((await purser.secrets.get(path)).version).toBe(3)
  state.version = 2
  expect((await purser.secrets.get(path, { fresh: true })).version).toBe(3)
  const { purser: other, state: laggard } = await place((response) => good(response, 2))
  const versions: number[] = []
  other.secrets.watch(path, ({ version }) => void versions.push(version))
  await vi.waitFor(() => expect(laggard.reads).toBeGreaterThan(1), patience)
  expect(versions).toEqual([1])
  laggard.version = 2
  await vi.waitFor(() => expect(versions).toEqual([1, 2]), patience)
})

test.each<[string, (entry: Record<string, unknown>) => object]>([
  ['of another version', (entry) => ({ ...entry, issued: { secrets: [{ path, version: 7 }] } })],
  ['of another request', (entry) => ({ ...entry, requestId: 'req_other' })],
  ['of another workload', (entry) => ({ ...entry, actor: { spiffeId: 'spiffe://example.org/lab/other' } })],
  ['of a refusal', (entry) => ({ ...entry, outcome: 'refused' })],
  ['of something besides', (entry) => ({ ...entry, issued: { secrets: [{ path, version: 1 }], jwts: [] } })],
])('a value whose entry is %s is discarded', async (_, wrong) => {
  const { purser, state } = await place((response) => good(response, 1))
  state.entry = (entry) => wrong(entry as Record<string, unknown>)
  const error = await failing(purser.secrets.get(path))
  expect(error.code).toBe('receipt_mismatch')
  expect(error.message).not.toContain(canary)
})

test('a server without secrets is distinguished from one without the watch', async () => {
  const { purser } = await place((response) => good(response, 1), { info: (info) => info })
  expect((await failing(purser.secrets.get(path))).code).toBe('not_offered')
  const errors: string[] = []
  purser.secrets.watch(path).on('error', ({ code }) => errors.push(code))
  await vi.waitFor(() => expect(errors).toEqual(['not_offered']), patience)
})

test('a stream that is reopened shows the last event id', async () => {
  const ids: unknown[] = []
  const { purser, fake } = await place((response, nth) => {
    ids.push(response.req.headers['last-event-id'])
    good(response, nth)
    if (nth === 1) setTimeout(() => response.destroy(), 100)
  })
  purser.secrets.watch(path)
  await vi.waitFor(() => expect(ids).toEqual([undefined, '1.1']), patience)
  expect(fake.requests.filter(({ url }) => url.startsWith('/api/v1/watch')).map(({ url }) => url)).toEqual([
    '/api/v1/watch?path=prod%2Fdb',
    '/api/v1/watch?path=prod%2Fdb',
  ])
})

test('events are the same however the chunks are cut', async () => {
  const text = Buffer.from(
    '\u{feff}event: a\r\ndata: é1\r\ndata:2\r\nid: 7\r\n\r\n:c\n\ndata\n\nevent: b\rdata: 3\r\rdata: lost',
  )
  const whole = [
    { name: 'a', data: 'é1\n2', id: '7' },
    { name: 'message', data: '', id: undefined },
    { name: 'b', data: '3', id: undefined },
  ]
  for (let size = 1; size <= text.length; size++) {
    const pieces = async function* (): AsyncGenerator<Uint8Array> {
      for (let at = 0; at < text.length; at += size) yield text.subarray(at, at + size)
    }
    const all = []
    for await (const event of readEvents(pieces())) all.push(event)
    expect(all, `pieces of ${size}`).toEqual(whole)
  }
})

test('pauses grow to a maximum, with jitter', () => {
  const waits = (error: unknown, random: number) =>
    Array.from({ length: 12 }, (_, n) => delayAfter(error, n + 1, () => random))
  const unreachable = new PurserError('unreachable', '')
  expect([waits(unreachable, 0)[0], waits(unreachable, 1)[0], waits(unreachable, 1).at(-1)]).toEqual([250, 500, 30_000])
  expect(waits(new PurserError('not_granted', '', { status: 403 }), 1).at(-1)).toBe(60_000)
  expect(waits(new PurserError('rate_limited', '', { status: 429, retryAfterSeconds: 7 }), 0)[0]).toBe(7_000)
  expect(waits(new PurserError('rate_limited', '', { status: 429, retryAfterSeconds: 700 }), 0)[0]).toBe(60_000)
})
