/**
 * What a connected client caches, and when it requests again. Requests are stand-ins, and the test controls the
 * clock.
 */
import { PurserError } from '@purser/sdk'
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { createEmitter } from '../../sdk/src/events/emitter.ts'
import type { Credentials } from '../../sdk/src/credentials/fetch-credentials.ts'
import { createHeldCredentials } from '../../sdk/src/renewal/held-credentials.ts'
import { createRenewal } from '../../sdk/src/renewal/renewal.ts'
import { createPurser } from '../../sdk/src/purser.ts'
import type { Selection } from '../../sdk/src/credentials/settings.ts'
import { createTls } from '../../sdk/src/tls/tls.ts'

const start = Date.parse('2026-11-24T23:00:00Z')
let seconds = 0
/** The lead of our wall clock over the server's. */
let ahead = 0
let selections: Selection[] = []
let events: string[] = []
let warnings: string[] = []
let failure: PurserError | undefined

beforeEach(() => {
  seconds = 0
  ahead = 0
  selections = []
  events = []
  warnings = []
  failure = undefined
})

const at = (second: number): Date => new Date(start + second * 1000)

const credentialsFor = (selection: Selection, lifeSeconds = 300): Credentials => ({
  spiffeId: 'spiffe://example.org/lab/web',
  workload: { id: 'wl_1', name: 'web', revision: 1 },
  session: { id: 'ses_1', expiresAt: at(7200) },
  serverTime: at(seconds).getTime(),
  jwts: selection.jwts.map((audience) => ({
    audience: [audience],
    token: `${audience} of second ${seconds}`,
    jti: 'j',
    expiresAt: at(seconds + lifeSeconds),
    renewAfter: at(seconds + lifeSeconds / 2),
  })),
})

const connected = (lifeSeconds?: number) => {
  const now = (): number => at(seconds + ahead).getTime()
  const elapsed = (): number => seconds * 1000
  const random = (): number => 0
  const closing = new AbortController().signal
  const first = credentialsFor({ jwts: ['payments'] }, lifeSeconds)
  const held = createHeldCredentials({ selection: { jwts: [] }, renewAt: undefined, now, elapsed, random }, first)
  const emitter = createEmitter(() => undefined)
  for (const name of ['disconnected', 'reconnected'] as const) emitter.on(name, () => void events.push(name))
  const renewal = createRenewal({
    held,
    nextCredentials: (selection) => {
      selections.push(selection)
      return failure
        ? Promise.reject(failure)
        : Promise.resolve({ credentials: credentialsFor(selection, lifeSeconds), by: 'proof' })
    },
    transport: {
      exchange: () => Promise.reject(failure ?? new Error()),
      rest: () => undefined,
      close: () => undefined,
    },
    emitter,
    keep: async () => undefined,
    follow: () => undefined,
    away: undefined,
    closing,
    warn: (warning) => void warnings.push(warning),
    elapsed,
    random,
  })
  onTestFinished(() => renewal.close())
  const source = {
    trustDomain: 'example.org',
    identity: (): never => expect.fail('no certificate is held here'),
    onIdentity: renewal.onIdentity,
    revoked: { includes: () => false, onNews: () => () => undefined },
    closing,
  }
  const tls = createTls({ source, warn: () => undefined, now })
  const verifyJwt = (): never => expect.fail('no token of others comes here')
  const noSecret = (): never => expect.fail('no secret is requested here')
  const secrets = { get: noSecret, watch: noSecret, ack: noSecret }
  const databases = { get: noSecret, watch: noSecret }
  const { close } = renewal
  const parts = { held, renewal, source, tls, verifyJwt, secrets, databases, emitter, chosen: [], closing, close }
  return createPurser(parts)
}

/** Waits for started background work. */
const settle = (): Promise<void> => new Promise((done) => setImmediate(done))

test('a valid JWT is returned at once, and renewed in the background from half of its lifetime', async () => {
  const purser = connected()
  seconds = 149
  expect(await purser.jwt('payments')).toBe('payments of second 0')
  await settle()
  expect(selections).toEqual([])
  seconds = 150
  expect(await purser.jwt('payments')).toBe('payments of second 0')
  await settle()
  expect(await purser.jwt('payments')).toBe('payments of second 150')
  expect(selections).toEqual([{ jwts: ['payments'] }])
})

test.each([300, 8])('a JWT of %d s near its end is requested once for all waiting callers', async (life) => {
  const purser = connected(life)
  seconds = life - Math.min(5, life / 4)
  const all = await Promise.all(Array.from({ length: 10 }, () => purser.jwt('payments')))
  expect(new Set(all)).toEqual(new Set([`payments of second ${seconds}`]))
  expect(selections).toHaveLength(1)
})

test('a JWT that comes with a renewal goes to the waiting callers', async () => {
  const purser = connected()
  await purser.jwt('payments')
  seconds = 296
  const renewed = purser.renew()
  expect(await purser.jwt('payments')).toBe('payments of second 296')
  await renewed
  expect(selections).toHaveLength(1)
})

test.each([160, 1000, -200])('a clock that is %d s ahead of the server’s has no effect', async (by) => {
  ahead = by
  const purser = connected()
  for (seconds = 0; seconds < 149; seconds += 10) expect(await purser.jwt('payments')).toBe('payments of second 0')
  await settle()
  expect(selections).toEqual([])
  seconds = 150
  await purser.jwt('payments')
  await settle()
  expect(selections).toHaveLength(1)
  failure = new PurserError('unreachable', '')
  seconds = 444
  expect(await purser.jwt('payments')).toBe('payments of second 150')
  seconds = 446
  await expect(purser.jwt('payments')).rejects.toBe(failure)
})

test('a clock correction after the arrival of a token does not change its end', async () => {
  ahead = -3600
  const purser = connected()
  failure = new PurserError('unreachable', '')
  ahead = 0
  seconds = 294
  expect(await purser.jwt('payments')).toBe('payments of second 0')
  ahead = -3600
  seconds = 296
  await expect(purser.jwt('payments')).rejects.toBe(failure)
})

describe('while Purser is unreachable', () => {
  const absences = [
    new PurserError('unreachable', ''),
    new PurserError('timeout', ''),
    new PurserError('log_unavailable', '', { status: 503 }),
    new PurserError('rate_limited', '', { status: 429 }),
  ]
  const suspect = [
    new PurserError('untrusted_server', ''),
    new PurserError('fingerprint_mismatch', ''),
    new PurserError('bad_reply', ''),
    new PurserError('redirected', ''),
    new PurserError('receipt_invalid', ''),
    new PurserError('refused', '', { status: 404 }),
    new PurserError('not_found', '', { status: 404 }),
  ]

  test.each([...absences, ...suspect])('$code: the held token serves until it is about to end', async (error) => {
    const purser = connected()
    failure = error
    seconds = 294
    expect(await purser.jwt('payments')).toBe('payments of second 0')
    await settle()
    expect(events).toEqual(['disconnected'])
    seconds = 295
    await expect(purser.jwt('payments')).rejects.toBe(error)
    await expect(purser.jwt('other')).rejects.toBe(error)
    failure = undefined
    seconds = 360
    expect(await purser.jwt('payments')).toBe('payments of second 360')
    expect(events).toEqual(['disconnected', 'reconnected'])
  })

  test.each(suspect)('$code is no mere absence and causes one warning', async (error) => {
    const purser = connected()
    failure = error
    for (seconds = 150; seconds < 290; seconds += 10) {
      await purser.jwt('payments')
      await settle()
    }
    expect(selections.length).toBeGreaterThan(2)
    expect(warnings).toEqual([expect.stringContaining('stay in use until they expire')])
  })

  test('no request is sent before the next try is due, however often a token is requested', async () => {
    const purser = connected()
    failure = new PurserError('rate_limited', '', { status: 429, retryAfterSeconds: 60 })
    seconds = 150
    for (; seconds < 209; seconds++) {
      expect(await purser.jwt('payments')).toBe('payments of second 0')
      await settle()
      await expect(purser.jwt('other')).rejects.toBe(failure)
    }
    expect(selections).toEqual([{ jwts: ['payments'] }])
    seconds = 211
    await purser.jwt('payments')
    await settle()
    expect(selections).toHaveLength(2)
  })

  test('a first request for another token waits as well', async () => {
    const purser = connected()
    failure = new PurserError('rate_limited', '', { status: 429, retryAfterSeconds: 30 })
    await expect(purser.jwt('other')).rejects.toBe(failure)
    seconds = 29
    await expect(purser.jwt('other')).rejects.toBe(failure)
    expect(selections).toHaveLength(1)
    failure = undefined
    seconds = 30
    expect(await purser.jwt('other')).toBe('other of second 30')
  })

  test('a silent Purser does not delay callers while a token is held', async () => {
    const purser = connected()
    failure = new PurserError('timeout', '')
    seconds = 200
    // The background renewal continues, and the call returns at once.
    expect(await Promise.race([purser.jwt('payments'), settle()])).toBe('payments of second 0')
  })

  test.each([
    new PurserError('attestation_failed', '', { status: 401 }),
    new PurserError('several_workloads', '', { status: 409 }),
    new PurserError('not_granted', '', { status: 403, errors: [{ pointer: '/jwts/0', detail: '' }] }),
    new PurserError('log_forked', ''),
  ])('$code is no absence: it is reported once the next token is due, and retried every 5 s', async (error) => {
    const purser = connected()
    failure = error
    seconds = 149
    expect(await purser.jwt('payments')).toBe('payments of second 0')
    seconds = 150
    await purser.jwt('payments')
    await settle()
    for (; seconds < 155; seconds++) await expect(purser.jwt('payments')).rejects.toBe(error)
    expect(selections).toHaveLength(1)
    expect(events).toEqual([])
    await expect(purser.jwt('payments')).rejects.toBe(error)
    expect(selections).toHaveLength(2)
    failure = undefined
    seconds = 160
    expect(await purser.jwt('payments')).toBe('payments of second 160')
    expect(await purser.jwt('payments')).toBe('payments of second 160')
  })
})

test.each([[''], [undefined], [['payments']]])('jwt(%j) has no valid audience', async (audience) => {
  await expect(connected().jwt(audience as string)).rejects.toMatchObject({ code: 'bad_options' })
  expect(selections).toEqual([])
})
