/**
 * Selectors are the facts that an attestor verified. The match of a workload entry is a condition on them. Values are
 * compared exactly and as a whole: they contain no patterns.
 */
import { NameError } from './errors.ts'

/** Verified facts by their keys; a claim with an array has several values. Objects of `createSelectors` have no prototype. */
export type Selectors = Readonly<Record<string, string | string[]>>

/** For each key an exact string, alternatives, or `"*"` for any verified value, which needs a `wide` entry. All must match. */
export type Match = Readonly<Record<string, string | string[]>>

export type Condition = {
  key: string
  wanted: string | string[]
  /** Absent when the attestor reported no such fact. */
  found?: string | string[]
  ok: boolean
}

const maxKeyLength = 256
const maxValueLength = 1024
const maxValues = 256
// A kind, a colon, and a name, which may be a claim like https://sts.amazonaws.com/…. Templates need braces and bars.
const key = /^[a-z][a-z0-9-]*:[!-z~]+$/
// Control characters, lone surrogates, line separators, and marks that reorder text on a screen.
const unprintable = /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/u

/**
 * `k8s:ns`, `oidc:<claim>`, `docker:label:<name>`: printable ASCII without spaces, braces and bars, at most 256 bytes.
 */
export function isSelectorKey(text: string): boolean {
  return text.length <= maxKeyLength && key.test(text)
}

/** 1 to 1,024 bytes of UTF-8 without control characters, line separators and direction marks. */
export function isSelectorValue(text: string): boolean {
  return (
    text !== '' && text.length <= maxValueLength && Buffer.byteLength(text) <= maxValueLength && !unprintable.test(text)
  )
}

/**
 * Creates selectors from verified facts. Ignores empty arrays.
 * @throws NameError `bad_selector_key` or `bad_selector_value`
 */
export function createSelectors(facts: Iterable<readonly [key: string, value: string | readonly string[]]>): Selectors {
  const selectors: Record<string, string | string[]> = Object.create(null)
  for (const [name, value] of facts) {
    checkKey(name)
    if (Object.hasOwn(selectors, name)) throw new NameError('bad_selector_key', 'a fact is reported once', name)
    if (typeof value === 'string') checkValue(name, value)
    else checkValues(name, value)
    if (value.length > 0) selectors[name] = typeof value === 'string' ? value : [...value]
  }
  return selectors
}

/**
 * Validates the match of an operator.
 * @throws NameError `bad_match`, `bad_selector_key`, `bad_selector_value`, or `not_wide` for a `"*"` in an entry that is not wide
 */
export function parseMatch(value: Match, wide: boolean): Match {
  const match: Record<string, string | string[]> = Object.create(null)
  for (const [name, expected] of Object.entries(value)) {
    checkKey(name)
    if (expected === '*') {
      if (!wide) throw new NameError('not_wide', '"*" needs "wide": true', name)
    } else if (typeof expected === 'string') checkValue(name, expected)
    else {
      if (expected.length === 0) throw new NameError('bad_match', 'an empty list matches nothing', name)
      if (expected.includes('*')) throw new NameError('bad_match', '"*" stands alone, not in a list', name)
      checkValues(name, expected)
    }
    match[name] = typeof expected === 'string' ? expected : [...expected]
  }
  if (Object.keys(match).length === 0) throw new NameError('bad_match', 'an empty match would match nothing')
  return match
}

/** The keys with `"*"`. The SPIFFE ID and each secret path of a wide entry must contain them. */
export function wildKeys(match: Match): string[] {
  return Object.keys(match).filter((name) => match[name] === '*')
}

/** Whether all conditions hold. An empty match never holds, and `"*"` holds only in a wide entry. */
export function matches(match: Match, selectors: Selectors, wide: boolean): boolean {
  let any = false
  for (const name in match) {
    if (!holds(match[name] ?? [], selectorValue(selectors, name), wide)) return false
    any = true
  }
  return any
}

/**
 * Whether one set of facts with single values could satisfy both matches. A fact with several values (an array claim) can
 * satisfy more; such a caller gets 409 `several_workloads`, and must name the entry.
 */
export function overlap(a: Match, b: Match): boolean {
  return Object.entries(a).every(([key, expected]) => {
    const other = Object.hasOwn(b, key) ? b[key] : undefined
    if (other === undefined || expected === '*' || other === '*') return true
    const values = [other].flat()
    return [expected].flat().some((value) => values.includes(value))
  })
}

/** The result of each condition, for `explain`. */
export function explainMatch(match: Match, selectors: Selectors, wide: boolean): Condition[] {
  return Object.entries(match).map(([key, expected]) => {
    const fact = selectorValue(selectors, key)
    return { key, wanted: expected, ...(fact !== undefined && { found: fact }), ok: holds(expected, fact, wide) }
  })
}

/** The fact with this key, ignoring inherited members. */
export function selectorValue(selectors: Selectors, name: string): string | string[] | undefined {
  return Object.hasOwn(selectors, name) ? selectors[name] : undefined
}

function holds(expected: string | string[], fact: string | string[] | undefined, wide: boolean): boolean {
  if (fact === undefined) return false
  if (expected === '*') return wide
  if (typeof expected === 'string') return typeof fact === 'string' ? fact === expected : fact.includes(expected)
  return typeof fact === 'string' ? expected.includes(fact) : fact.some((value) => expected.includes(value))
}

function checkKey(name: string): void {
  if (!isSelectorKey(name))
    throw new NameError(
      'bad_selector_key',
      'a selector key is kind:name, printable ASCII without spaces, braces and bars',
    )
}

function checkValue(name: string, value: string): void {
  if (!isSelectorValue(value))
    throw new NameError('bad_selector_value', 'a selector value is 1 to 1024 bytes without control characters', name)
}

function checkValues(name: string, values: readonly string[]): void {
  if (values.length > maxValues) throw new NameError('bad_selector_value', 'at most 256 values for one key', name)
  for (const value of values) checkValue(name, value)
}
