/** The lifetime of a credential, independent of clock errors. */
import { describe, expect, test } from 'vitest'
import { lifetimeFrom, serverTime } from '../../sdk/src/time/lifetime.ts'

const receivedAt = Date.parse('2026-11-24T23:00:00Z')

/**
 * A token of 300 s, with `ours` seconds left by our clock when it arrived. Then each clock advances by its own
 * amount.
 */
function after(wall: number, elapsed: number, ours = 300) {
  const clocks = { now: receivedAt, elapsed: 5_000 }
  const life = lifetimeFrom(
    { now: () => clocks.now, elapsed: () => clocks.elapsed },
    receivedAt + ours * 1000,
    receivedAt + (ours - 300) * 1000,
  )
  clocks.now += wall * 1000
  clocks.elapsed += elapsed * 1000
  return { life: life.lifeMs / 1000, age: life.ageMs() / 1000, left: life.leftMs() / 1000 }
}

describe('a lifetime', () => {
  test.each([
    ['both clocks agree', after(100, 100), { age: 100, left: 200 }],
    ['the machine slept', after(1000, 10), { age: 1000, left: -700 }],
    ['the wall was set back', after(-3600, 100), { age: 100, left: 200 }],
    ['the wall was set back past the end', after(-3600, 400), { age: 400, left: -100 }],
    ['our clock is ahead', after(100, 100, 10), { age: 100, left: 200 }],
    ['our clock is behind', after(100, 100, 4000), { age: 100, left: 200 }],
    ['our clock was behind and is corrected', after(3800, 100, 4000), { age: 3800, left: 200 }],
    ['our clock was behind, is corrected, and the end has passed', after(4010, 310, 4000), { age: 4010, left: -10 }],
  ])('%s', (_, lifetime, expected) => {
    expect(lifetime).toEqual({ life: 300, ...expected })
  })
})

describe("the server's clock", () => {
  test.each([
    ['agrees', 400, 50, 400],
    ['agrees, though it took long', 7_900, 8_000, 7_900],
    ['is behind ours', 160_000, 50, 1_050],
    ['is ahead of ours', -160_000, 50, 0],
  ])('%s', (_, ours, tookMs, expected) => {
    expect(serverTime(new Date(receivedAt).toUTCString(), receivedAt + ours, tookMs)).toBe(receivedAt + expected)
  })

  test.each([undefined, '', 'soon'])('is assumed to equal ours when its Date is %j', (date) => {
    expect(serverTime(date, receivedAt, 0)).toBe(receivedAt)
  })
})
