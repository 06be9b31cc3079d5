/** The pause after a renewal, by the time that the held credentials still have. */
import { PurserError } from '@purser/sdk'
import { expect, test } from 'vitest'
import { createBackOff } from '../../sdk/src/renewal/back-off.ts'

function backOff(left: number) {
  const state = { left, at: 1_000_000 }
  const backOff = createBackOff({ held: { leftMs: () => state.left }, elapsed: () => state.at, random: () => 1 })
  return { state, ...backOff }
}

test.each([1000, 0, -5000])('two renewals are at least a second apart with %d ms of validity left', (left) => {
  const { renewed, leftMs, reason } = backOff(left)
  renewed()
  expect([leftMs(), reason()]).toEqual([1000, undefined])
})

test.each([
  ['as long as it says, while half of the rest is longer', 3_600_000, 600, 600_000],
  ['half of the rest, where it asks for more', 1_000_000, 900_000, 500_000],
  ['a minute, where nothing is left', -1, 900_000, 60_000],
  ['a minute, where nothing is renewed', Infinity, 900_000, 60_000],
  ['as long as it says, with nothing left', -1, 40, 40_000],
  ['no shorter than without it', 3_600_000, 0, 1_000],
])('Retry-After is honoured for %s', (_, left, retryAfterSeconds, expected) => {
  const { failed, leftMs, reason } = backOff(left)
  const error = new PurserError('rate_limited', '', { status: 429, retryAfterSeconds })
  failed(error)
  expect([leftMs(), reason()]).toEqual([expected, error])
})

test('a refusal does not block requests for something else', () => {
  const { failed, leftMs, reason } = backOff(1_000_000)
  failed(new PurserError('not_granted', '', { status: 403 }))
  expect([leftMs(), reason()]).toEqual([5_000, undefined])
})
