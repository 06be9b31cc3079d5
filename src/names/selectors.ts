/**
 * Selectors are the facts that an attestor verified; a match is the condition of a workload entry. Values are compared
 * whole and exactly: nothing in them is a pattern.
 */
import { NameError } from './errors.ts'

/** Several values where the claim was an array. Made by `createSelectors`, so without a prototype; plain JSON. */
export type Selectors = Readonly<Record<string, string | string[]>>

/** Exact strings, any of several, or `"*"` for any verified value, which needs a `wide` entry. All keys must hold. */
export type Match = Readonly<Record<string, string | string[]>>

export type Condition = {
  key: string
  wanted: string | string[]
  /** Absent where the attestor reported no such fact. */
  found?: string | string[]
  ok: boolean
}

const maxKeyLength = 256
const maxValueLength = 1024
const maxValues = 256
// A kind, a colon, and a name that may be a claim like https://sts.amazonaws.com/…; without braces and bars, so that templates stay readable.
const key = /^[a-z][a-z0-9-]*:[!-z~]+$/
// Control characters, lone surrogates, line separators, and the marks that reorder text on a screen.
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
 * Makes selectors from verified facts. An empty array is no fact.
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
 * Checks what an operator wrote.
 * @throws NameError `bad_match`, `bad_selector_key`, `bad_selector_value`, or `not_wide` for a `"*"` in an entry that is not wide
 */
export function parseMatch(value: Match, wide: boolean): Match {
  const match: Record<string, string | string[]> = Object.create(null)
  for (const [name, wanted] of Object.entries(value)) {
    checkKey(name)
    if (wanted === '*') {
      if (!wide) throw new NameError('not_wide', '"*" needs "wide": true', name)
    } else if (typeof wanted === 'string') checkValue(name, wanted)
    else {
      if (wanted.length === 0) throw new NameError('bad_match', 'an empty list matches nothing', name)
      if (wanted.includes('*')) throw new NameError('bad_match', '"*" stands alone, not in a list', name)
      checkValues(name, wanted)
    }
    match[name] = typeof wanted === 'string' ? wanted : [...wanted]
  }
  if (Object.keys(match).length === 0) throw new NameError('bad_match', 'an empty match would match nothing')
  return match
}

/** The keys for which any verified value will do: a wide entry's SPIFFE ID and secret paths must each contain them. */
export function wildKeys(match: Match): string[] {
  return Object.keys(match).filter((name) => match[name] === '*')
}

/** Whether all conditions hold. An empty match holds for nobody, and `"*"` for nobody in an entry that is not wide. */
export function matches(match: Match, selectors: Selectors, wide: boolean): boolean {
  let any = false
  for (const name in match) {
    if (!holds(match[name] ?? [], selectorValue(selectors, name), wide)) return false
    any = true
  }
  return any
}

/** The same, condition by condition, for `explain`. */
export function explainMatch(match: Match, selectors: Selectors, wide: boolean): Condition[] {
  return Object.entries(match).map(([name, wanted]) => {
    const fact = selectorValue(selectors, name)
    return { key: name, wanted, ...(fact === undefined ? {} : { found: fact }), ok: holds(wanted, fact, wide) }
  })
}

/** The fact of that key, and never something inherited. */
export function selectorValue(selectors: Selectors, name: string): string | string[] | undefined {
  return Object.hasOwn(selectors, name) ? selectors[name] : undefined
}

function holds(wanted: string | string[], fact: string | string[] | undefined, wide: boolean): boolean {
  if (fact === undefined) return false
  if (wanted === '*') return wide
  if (typeof wanted === 'string') return typeof fact === 'string' ? fact === wanted : fact.includes(wanted)
  return typeof fact === 'string' ? wanted.includes(fact) : fact.some((one) => wanted.includes(one))
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
