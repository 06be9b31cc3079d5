import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { MatchIndex } from '../../src/names/match-index.ts'
import { type Match, type Selectors, createSelectors, matches, overlap } from '../../src/names/selectors.ts'

const keys = ['k8s:ns', 'k8s:sa', 'oidc:sub', 'oidc:groups']
const values = ['a', 'b', 'c', 'a b']
const value = fc.constantFrom(...values)
const condition = fc.oneof(value, fc.constant('*'), fc.uniqueArray(value, { minLength: 1, maxLength: 3 }))
const match: fc.Arbitrary<Match> = fc.dictionary(fc.constantFrom(...keys), condition, { noNullPrototype: true })
const fact = fc.oneof(value, fc.uniqueArray(value, { minLength: 1, maxLength: 3 }))
const facts: fc.Arbitrary<Selectors> = fc
  .dictionary(fc.constantFrom(...keys), fact, { noNullPrototype: true })
  .map((record) => createSelectors(Object.entries(record)))
/** Added entries, and those of them that are deleted again. */
const entries = fc.array(fc.record({ match, isDeleted: fc.boolean() }), { maxLength: 40 })

type Entry = { match: Match; isDeleted: boolean }

function indexOf(list: readonly Entry[]): { index: MatchIndex; live: Map<string, Match> } {
  const index = new MatchIndex()
  const live = new Map<string, Match>()
  list.forEach((entry, n) => {
    index.add(`w${n}`, entry.match)
    live.set(`w${n}`, entry.match)
  })
  list.forEach((entry, n) => {
    if (!entry.isDeleted) return
    index.delete(`w${n}`, entry.match)
    live.delete(`w${n}`)
  })
  return { index, live }
}

const idsWhere = (live: Map<string, Match>, holds: (match: Match) => boolean): string[] =>
  [...live].filter(([, entry]) => holds(entry)).map(([id]) => id)

describe('an index of matches', () => {
  it('finds what a scan of all entries finds, wide ones and several values included', () => {
    fc.assert(
      fc.property(entries, facts, (list, selectors) => {
        const { index, live } = indexOf(list)
        const candidates = index.candidates(selectors)
        expect([...candidates].filter((id) => !live.has(id))).toEqual([])
        const holds = (entry: Match): boolean => matches(entry, selectors, true)
        expect([...candidates].filter((id) => holds(live.get(id) ?? {})).sort()).toEqual(idsWhere(live, holds).sort())
      }),
      { numRuns: 500 },
    )
  })

  it('finds what a scan finds of entries that overlap another', () => {
    fc.assert(
      fc.property(entries, match, (list, other) => {
        const { index, live } = indexOf(list)
        // An empty match matches nothing, so it overlaps nothing.
        const overlaps = (entry: Match): boolean => Object.keys(entry).length > 0 && overlap(other, entry)
        const ids = [...index.mayOverlap(other)].filter((id) => overlaps(live.get(id) ?? {}))
        expect(ids.sort()).toEqual(idsWhere(live, overlaps).sort())
      }),
      { numRuns: 500 },
    )
  })

  it('visits the entries of one account, not those of its namespace', () => {
    const index = new MatchIndex()
    for (let n = 0; n < 1000; n++) index.add(`w${n}`, { 'k8s:ns': 'prod', 'k8s:sa': `app-${n}` })
    const candidates = index.candidates(createSelectors([['k8s:ns', 'prod'], ['k8s:sa', 'app-7']])) // prettier-ignore
    expect(candidates.size).toBeLessThanOrEqual(2)
    expect(candidates).toContain('w7')
  })
})
