/** Finds the matches that a caller's selectors can satisfy, without a visit to the others. */
import type { Match, Selectors } from './selectors.ts'

/** A selector key contains no space (selectors.ts), so no value of one key can be taken for a value of another. */
const valueBucket = (key: string, value: string): string => `${key} ${value}`

/** The buckets that hold a match under one of its conditions. `"*"` needs the key alone. */
const bucketsFor = (key: string, expected: string | string[]): string[] =>
  expected === '*' ? [key] : [expected].flat().map((value) => valueBucket(key, value))

type Place = { key: string; buckets: readonly string[] }

/** Sets of ids by name. A set without members does not exist. */
class Buckets {
  readonly #sets = new Map<string, Set<string>>()

  get(name: string): Iterable<string> {
    return this.#sets.get(name) ?? []
  }

  sizeOf(name: string): number {
    return this.#sets.get(name)?.size ?? 0
  }

  names(): Iterable<string> {
    return this.#sets.keys()
  }

  add(name: string, id: string): void {
    const ids = this.#sets.get(name)
    if (ids) ids.add(id)
    else this.#sets.set(name, new Set([id]))
  }

  delete(name: string, id: string): void {
    const ids = this.#sets.get(name)
    ids?.delete(id)
    if (ids?.size === 0) this.#sets.delete(name)
  }
}

/**
 * Each match is in the buckets of one of its conditions: in one bucket, or in one for each alternative. A caller's
 * selectors name the buckets to read. The condition with the smallest buckets is chosen, so that a value that most
 * matches share (a namespace, an owner of repositories) does not collect all of them.
 */
export class MatchIndex {
  readonly #places = new Map<string, Place>()
  readonly #byCondition = new Buckets()
  readonly #byKey = new Buckets()

  /** An empty match matches nothing, so it has no place in the index. */
  add(id: string, match: Match): void {
    const place = this.#placeFor(match)
    if (!place) return
    this.#places.set(id, place)
    this.#byKey.add(place.key, id)
    for (const name of place.buckets) this.#byCondition.add(name, id)
  }

  delete(id: string): void {
    const place = this.#places.get(id)
    if (!place) return
    this.#places.delete(id)
    this.#byKey.delete(place.key, id)
    for (const name of place.buckets) this.#byCondition.delete(name, id)
  }

  /** The ids of all matches that the selectors satisfy, and of some that they do not. */
  candidates(selectors: Selectors): Set<string> {
    const ids = new Set<string>()
    for (const key of Object.keys(selectors)) {
      const values = [selectors[key] ?? []].flat()
      for (const name of [key, ...values.map((value) => valueBucket(key, value))])
        for (const id of this.#byCondition.get(name)) ids.add(id)
    }
    return ids
  }

  /** The ids of all matches that one set of facts could satisfy together with this match, and of some others. */
  mayOverlap(match: Match): Set<string> {
    const ids = new Set<string>()
    for (const key of this.#byKey.names()) {
      const expected = Object.hasOwn(match, key) ? match[key] : undefined
      const isOpen = expected === undefined || expected === '*'
      const buckets = isOpen
        ? [this.#byKey.get(key)]
        : [key, ...bucketsFor(key, expected)].map((name) => this.#byCondition.get(name))
      for (const bucket of buckets) for (const id of bucket) ids.add(id)
    }
    return ids
  }

  #placeFor(match: Match): Place | undefined {
    let place: Place | undefined
    let smallest = Infinity
    for (const [key, expected] of Object.entries(match)) {
      const buckets = bucketsFor(key, expected)
      const size = buckets.reduce((sum, name) => sum + this.#byCondition.sizeOf(name), 0)
      if (size < smallest) [place, smallest] = [{ key, buckets }, size]
    }
    return place
  }
}
