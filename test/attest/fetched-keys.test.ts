import { describe, expect, it } from 'vitest'
import { type KeyEvents, type Published, createFetchedKeys } from '../../src/attest/fetched-keys.ts'
import { OutboundError } from '../../src/outbound/errors.ts'
import { codeOf, ec, jwkOf, rsa } from './tokens.ts'

const first = jwkOf(rsa.publicKey, { kid: 'first' })
const second = jwkOf(ec.publicKey, { kid: 'second' })

/** An issuer whose answers the test decides, and a clock that it turns. */
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

describe('asking an issuer', () => {
  it('once for a thousand proofs at the same time', async () => {
    const { state, find } = issuerOf(answering([first]))
    const all = await Promise.all(Array.from({ length: 1000 }, () => find('first')))
    expect(all.every(Boolean)).toBe(true)
    expect(state.asked).toBe(1)
  })

  it('once in ten seconds for 10,000 made-up key ids, and known keys are served meanwhile', async () => {
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

  it('again for a key that is new, after the pause', async () => {
    const { state, find } = issuerOf(answering([first]))
    await find('first')
    state.answer = answering([first, second])
    state.at = 9_999
    expect(await find('second', 'ES256')).toBe(false)
    state.at = 10_000
    expect(await find('second', 'ES256')).toBe(true)
  })

  it('not for a known key with another algorithm', async () => {
    const { state, find } = issuerOf(answering([first]))
    await find('first')
    state.at = 20_000
    expect(await find('first', 'RS512')).toBe(false)
    expect(state.asked).toBe(1)
  })

  it('before the keys are old, without a proof that waits', async () => {
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
  ])('a max-age of %s seconds means %i', async (maxAge, expected) => {
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

describe('an issuer that is down', () => {
  it('at the first proof: 503, and not asked again for ten seconds', async () => {
    const { state, keys } = issuerOf(down)
    for (let n = 0; n < 50; n++) expect(await codeOf(keys.find('first', 'RS256'))).toBe('unavailable')
    expect(state.asked).toBe(1)
    state.at = 10_000
    state.answer = answering([first])
    expect(await codeOf(keys.find('first', 'RS256'))).toBe('accepted')
  })

  it('later: its keys count for a day, nobody waits for it, and then no longer', async () => {
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

  it('hangs: one waits for the keys’ end at most, the others go on', async () => {
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

describe('what an operator hears of', () => {
  it('each key that is left out, and a set that is new altogether', async () => {
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

  it('an empty set is the issuer’s word: nothing verifies any more', async () => {
    const { state, find } = issuerOf(answering([first]))
    await find('first')
    state.answer = answering([])
    state.at = 901_000
    await find('first')
    expect(await find('first')).toBe(false)
  })
})
