/** Finds the matches that a caller's selectors can satisfy, without a visit to the others. */
import type { Match, Selectors } from './selectors.ts'

/** The ids under one value. Most values have one id, which needs no set. */
type Ids = string | Set<string>

const sizeOf = (ids: Ids | undefined): number => (ids === undefined ? 0 : typeof ids === 'string' ? 1 : ids.size)
const membersOf = (ids: Ids | undefined): Iterable<string> => (typeof ids === 'string' ? [ids] : (ids ?? []))

/** The ids under one key, by the value that a caller must have. `"*"` has those that need the key alone. */
class IdsByValue {
  readonly #ids = new Map<string, Ids>()

  count(values: readonly string[]): number {
    return values.reduce((sum, value) => sum + sizeOf(this.#ids.get(value)), 0)
  }

  get(value: string): Iterable<string> {
    return membersOf(this.#ids.get(value))
  }

  values(): Iterable<string> {
    return this.#ids.keys()
  }

  add(value: string, id: string): void {
    const ids = this.#ids.get(value)
    if (ids === undefined) this.#ids.set(value, id)
    else if (typeof ids === 'string') this.#ids.set(value, new Set([ids, id]))
    else ids.add(id)
  }

  delete(value: string, id: string): void {
    const ids = this.#ids.get(value)
    if (ids === id) this.#ids.delete(value)
    else if (typeof ids === 'object' && ids.delete(id) && ids.size === 0) this.#ids.delete(value)
  }
}

const valuesOf = (expected: string | string[] = []): readonly string[] =>
  typeof expected === 'string' ? [expected] : expected

function addAll(ids: Set<string>, byValue: IdsByValue, values: Iterable<string>): void {
  for (const value of values) for (const id of byValue.get(value)) ids.add(id)
}

/**
 * Each match has its id under one of its conditions: under one value, or under each alternative. A caller's selectors name
 * the values to read. The condition with the fewest ids is chosen, so that a value that most matches share (a namespace,
 * an owner of repositories) does not collect all of them.
 */
export class MatchIndex {
  readonly #byKey = new Map<string, IdsByValue>()

  /** An empty match matches nothing, so the index does not have it. */
  add(id: string, match: Match): void {
    const key = this.#smallest(match)
    if (key === undefined) return
    const byValue = this.#byKey.get(key) ?? new IdsByValue()
    this.#byKey.set(key, byValue)
    for (const value of valuesOf(match[key])) byValue.add(value, id)
  }

  /** @param match with which the id was added */
  delete(id: string, match: Match): void {
    for (const key of Object.keys(match))
      for (const value of valuesOf(match[key])) this.#byKey.get(key)?.delete(value, id)
  }

  /** The ids of all matches that the selectors satisfy, and of some that they do not. */
  candidates(selectors: Selectors): Set<string> {
    const ids = new Set<string>()
    for (const key of Object.keys(selectors)) {
      const byValue = this.#byKey.get(key)
      if (byValue) addAll(ids, byValue, ['*', ...valuesOf(selectors[key])])
    }
    return ids
  }

  /** The ids of all matches that one set of facts could satisfy together with this match, and of some others. */
  mayOverlap(match: Match): Set<string> {
    const ids = new Set<string>()
    for (const [key, byValue] of this.#byKey) {
      const expected = Object.hasOwn(match, key) ? match[key] : undefined
      const isOpen = expected === undefined || expected === '*'
      addAll(ids, byValue, isOpen ? byValue.values() : ['*', ...valuesOf(expected)])
    }
    return ids
  }

  #smallest(match: Match): string | undefined {
    let smallest: string | undefined
    let min = Infinity
    for (const key of Object.keys(match)) {
      const count = this.#byKey.get(key)?.count(valuesOf(match[key])) ?? 0
      if (count < min) [smallest, min] = [key, count]
    }
    return smallest
  }
}
