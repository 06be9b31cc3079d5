/** Whether a consumer has switched, by the versions that it fetched and when. */
import { array, assert, integer, property, record } from 'fast-check'
import { expect, it } from 'vitest'
import { hasMoved } from '../../src/secrets/rotation/consumers.ts'

const at = (seconds: number): Date => new Date(Date.UTC(2026, 10, 25) + seconds * 1000)
type Move = Parameters<typeof hasMoved>[1]
const to = (version: number, more: Partial<Move> = {}): Move => ({ to: version, moved: 'fetched', ...more })

it.each([
  ['nothing but the old one', [{ version: 1, fetchedAt: at(1) }], to(2), false],
  ['the new one alone', [{ version: 2, fetchedAt: at(1) }], to(2), true],
  [
    'the old one, then the new one',
    [
      { version: 1, fetchedAt: at(1) },
      { version: 2, fetchedAt: at(2) },
    ],
    to(2),
    true,
  ],
  [
    'the new one, then the old one again',
    [
      { version: 1, fetchedAt: at(3) },
      { version: 2, fetchedAt: at(2) },
    ],
    to(2),
    true,
  ],
  [
    'a newer one yet',
    [
      { version: 1, fetchedAt: at(1) },
      { version: 5, fetchedAt: at(2) },
    ],
    to(2),
    true,
  ],
  ['fetched, not acknowledged', [{ version: 2, fetchedAt: at(2) }], to(2, { moved: 'acknowledged' }), false],
  ['acknowledged', [{ version: 2, fetchedAt: at(2), ackedAt: at(3) }], to(2, { moved: 'acknowledged' }), true],
  [
    'the old one acknowledged',
    [{ version: 1, fetchedAt: at(2), ackedAt: at(3) }],
    to(2, { moved: 'acknowledged' }),
    false,
  ],
  ['after a rollback, the version of the same value', [{ version: 1, fetchedAt: at(1) }], to(3, { alike: [1] }), true],
  [
    'after a rollback, the withdrawn one',
    [
      { version: 1, fetchedAt: at(1) },
      { version: 2, fetchedAt: at(2) },
    ],
    to(3, { alike: [1] }),
    false,
  ],
] as const)('%s', (_, rows, move, expected) => {
  expect(hasMoved([...rows], move)).toBe(expected)
})

it('is true once any fetch was of the version or a newer one, in whatever order', () => {
  const consumers = array(
    record({ version: integer({ min: 1, max: 6 }), fetchedAt: integer({ min: 0, max: 50 }).map(at) }),
    { minLength: 1 },
  )
  assert(
    property(consumers, integer({ min: 2, max: 6 }), (rows, version) => {
      expect(hasMoved(rows, to(version))).toBe(rows.some((row) => row.version >= version))
    }),
  )
})
