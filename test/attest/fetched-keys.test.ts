import { describe, expect, it } from 'vitest'
import { type KeyEvents, type Published, createFetchedKeys } from '../../src/attest/fetched-keys.ts'
import { OutboundError } from '../../src/outbound/errors.ts'
import { codeOf, ec, jwkOf, rsa } from './tokens.ts'

const first = jwkOf(rsa.publicKey, { kid: 'first' })
const second = jwkOf(ec.publicKey, { kid: 'second' })

/** An issuer with configurable answers, and a clock of the test. */
function issuerOf(answer: () => Promise<Published>, events: KeyEvents = {}) {
  const state = { asked: 0, at: 0, answer }
  const keys = createFetchedKeys({
    source: () => {
      state.asked++
      return state.answer()
    },
    clock: () => state.at,
    keepSeconds: 86_400,
    events,
  })
  const find = async (kid: string, alg = 'RS256') => (await keys.find(kid, alg)) !== undefined
  return { state, keys, find }
}

const answering = (keys: unknown[], maxAgeSeconds?: number) => async (): Promise<Published> => ({
  keys,
  ...(maxAgeSeconds !== undefined && { maxAgeSeconds }),
})
const down = () => Promise.reject(new OutboundError('timeout', 'no complete answer within 5000 ms'))
const settle = () => new Promise((resolve) => setImmediate(resolve))

describe('requests to an issuer', () => {
  it('are made once for a thousand concurrent proofs', async () => {
    const { state, find } = issuerOf(answering([first]))
    const all = await Promise.all(Array.from({ length: 1000 }, () => find('first')))
    expect(all.every(Boolean)).toBe(true)
    expect(state.asked).toBe(1)
  })

  it('are made once in ten seconds for 10,000 invented key ids, and known keys still verify meanwhile', async () => {
    const { state, find } = issuerOf(answering([first]))
    await find('first')
    state.at = 20_000
    for (let n = 0; n < 10_000; n++) {
      state.at += 1
      expect(await find(`made-up-${n}`)).toBe(false)
      if (n % 1000 === 0) expect(await find('first')).toBe(true)
    }
    expect(state.asked).toBe(2)
  })

  it('are made again for a new key after the pause', async () => {
    const { state, find } = issuerOf(answering([first]))
    await find('first')
    state.answer = answering([first, second])
    state.at = 9_999
    expect(await find('second', 'ES256')).toBe(false)
    state.at = 10_000
    expect(await find('second', 'ES256')).toBe(true)
  })

  it('are not made for a known key with another algorithm', async () => {
    const { state, find } = issuerOf(answering([first]))
    await find('first')
    state.at = 20_000
    expect(await find('first', 'RS512')).toBe(false)
    expect(state.asked).toBe(1)
  })

  it('refresh the keys before they expire, while no proof waits', async () => {
    const { state, find } = issuerOf(answering([first], 600))
    await find('first')
    let publish: (published: Published) => void = () => undefined
    state.answer = () => new Promise((resolve) => (publish = resolve))
    state.at = 500_000
    expect(await find('first')).toBe(true)
    expect(state.asked).toBe(2)
    publish({ keys: [second] })
    await settle()
    await settle()
    expect(await find('second', 'ES256')).toBe(true)
    expect(await find('first')).toBe(false)
  })

  it.each([
    [undefined, 900],
    [0, 60],
    [86_400, 3_600],
    [120, 120],
  ])('treat a max-age of %s seconds as %i', async (maxAge, expected) => {
    const { state, find } = issuerOf(answering([first], maxAge))
    await find('first')
    state.at = expected * 800
    await find('first')
    expect(state.asked).toBe(1)
    state.at = expected * 1000 + 1
    await find('first')
    expect(state.asked).toBe(2)
  })
})

describe('an unreachable issuer', () => {
  it('at the first proof: 503, and no new request for ten seconds', async () => {
    const { state, keys } = issuerOf(down)
    for (let n = 0; n < 50; n++) expect(await codeOf(keys.find('first', 'RS256'))).toBe('unavailable')
    expect(state.asked).toBe(1)
    state.at = 10_000
    state.answer = answering([first])
    expect(await codeOf(keys.find('first', 'RS256'))).toBe('accepted')
  })

  it('later: its keys apply for a day without a wait, and then no longer', async () => {
    const failed: string[] = []
    const { state, keys, find } = issuerOf(answering([first]), { failed: (error) => failed.push(error.code) })
    await find('first')
    state.answer = down
    for (let minute = 1; minute < 24 * 60; minute += 7) {
      state.at = minute * 60_000
      expect(await find('first')).toBe(true)
    }
    expect(failed.length).toBeGreaterThan(100)
    state.at = 86_400_001
    expect(await codeOf(keys.find('first', 'RS256'))).toBe('unavailable')
    state.at += 10_000
    state.answer = answering([second])
    expect(await find('second', 'ES256')).toBe(true)
  })

  it('that hangs delays one proof until the keys expire, and no other', async () => {
    const { state, find } = issuerOf(answering([first], 60))
    await find('first')
    let giveUp: () => void = () => undefined
    state.answer = () => new Promise((_, reject) => (giveUp = () => reject(new OutboundError('timeout', 'late'))))
    state.at = 61_000
    const waiting = find('first')
    expect(await find('first')).toBe(true)
    giveUp()
    expect(await waiting).toBe(true)
    state.at = 72_000
    expect(await find('first')).toBe(true)
    expect(state.asked).toBe(3)
    giveUp()
  })
})

describe('logs', () => {
  it('name each key that was ignored, and a set that was replaced completely', async () => {
    const reports: string[] = []
    const events = {
      ignored: ({ why }: { why: string }) => reports.push(why),
      replaced: () => reports.push('replaced'),
    }
    const { state, find } = issuerOf(answering([first, { kty: 'oct' }]), events)
    await find('first')
    expect(reports).toEqual(['its kty is not supported'])
    state.answer = answering([second])
    state.at = 901_000
    await find('first')
    expect(reports).toContain('replaced')
  })

  it('an empty set is valid: no proof verifies any more', async () => {
    const { state, find } = issuerOf(answering([first]))
    await find('first')
    state.answer = answering([])
    state.at = 901_000
    await find('first')
    expect(await find('first')).toBe(false)
  })
})
