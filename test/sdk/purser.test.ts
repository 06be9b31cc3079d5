/** What a connected client keeps, and when it asks again; the requests are stand-ins, the clock is the test's. */
import { PurserError } from '@purser/sdk'
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { createEmitter } from '../../sdk/src/events.ts'
import type { Credentials } from '../../sdk/src/fetch-credentials.ts'
import { createHeld } from '../../sdk/src/held.ts'
import { createKeeper } from '../../sdk/src/keeper.ts'
import { createPurser } from '../../sdk/src/purser.ts'
import type { Wanted } from '../../sdk/src/settings.ts'
import { createTls } from '../../sdk/src/tls/tls.ts'

const start = Date.parse('2026-11-24T23:00:00Z')
let seconds = 0
let asked: Wanted[] = []
let failure: PurserError | undefined

beforeEach(() => {
  seconds = 0
  asked = []
  failure = undefined
})

const at = (second: number): Date => new Date(start + second * 1000)

const given = (wanted: Wanted): Credentials => ({
  spiffeId: 'spiffe://example.org/lab/web',
  workload: { id: 'wl_1', name: 'web', revision: 1 },
  session: { id: 'ses_1', expiresAt: at(7200) },
  jwts: wanted.jwts.map((audience) => ({
    audience: [audience],
    token: `${audience} of second ${seconds}`,
    jti: 'j',
    expiresAt: at(seconds + 300),
    renewAfter: at(seconds + 150),
  })),
})

const connected = () => {
  const now = (): number => at(seconds).getTime()
  const random = (): number => 0
  const closing = new AbortController().signal
  const held = createHeld({ wanted: { jwts: [] }, renewAt: undefined, now, random }, given({ jwts: ['payments'] }))
  const emitter = createEmitter(() => undefined)
  const keeper = createKeeper({
    held,
    renew: (wanted) => {
      asked.push(wanted)
      return failure ? Promise.reject(failure) : Promise.resolve({ given: given(wanted), by: 'proof' })
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
    now,
    random,
  })
  onTestFinished(() => keeper.close())
  const source = {
    trustDomain: 'example.org',
    identity: (): never => expect.fail('no certificate is held here'),
    onIdentity: keeper.onIdentity,
    revoked: { includes: () => false, onNews: () => () => undefined },
    closing,
  }
  const tls = createTls({ source, warn: () => undefined, now })
  const verifyJwt = (): never => expect.fail('no token of others comes here')
  return createPurser({ held, keeper, source, tls, verifyJwt, emitter, chosen: [], closing, close: keeper.close, now })
}

test('a JWT is kept until half of its life is over, and asked for alone then', async () => {
  const purser = connected()
  seconds = 149
  expect(await purser.jwt('payments')).toBe('payments of second 0')
  expect(asked).toEqual([])
  seconds = 150
  expect(await purser.jwt('payments')).toBe('payments of second 150')
  expect(asked).toEqual([{ jwts: ['payments'] }])
})

describe('while Purser is away', () => {
  const away = [
    new PurserError('unreachable', ''),
    new PurserError('timeout', ''),
    new PurserError('log_unavailable', '', { status: 503 }),
    new PurserError('rate_limited', '', { status: 429 }),
  ]

  test.each(away)('$code: what is held does, until it is about to end', async (error) => {
    const purser = connected()
    failure = error
    seconds = 294
    expect(await purser.jwt('payments')).toBe('payments of second 0')
    seconds = 295
    await expect(purser.jwt('payments')).rejects.toBe(error)
    await expect(purser.jwt('other')).rejects.toBe(error)
    failure = undefined
    expect(await purser.jwt('payments')).toBe('payments of second 295')
  })

  test.each([
    new PurserError('attestation_failed', '', { status: 401 }),
    new PurserError('log_forked', ''),
    new PurserError('untrusted_server', ''),
  ])('$code is no absence: it is told at once', async (error) => {
    const purser = connected()
    failure = error
    seconds = 200
    await expect(purser.jwt('payments')).rejects.toBe(error)
  })
})

test.each([[''], [undefined], [['payments']]])('jwt(%j) is no audience', async (audience) => {
  await expect(connected().jwt(audience as string)).rejects.toMatchObject({ code: 'bad_options' })
  expect(asked).toEqual([])
})
