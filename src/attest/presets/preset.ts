/** What a preset knows of an issuer, and how claims are read for it. */
import { refuse } from '../../errors.ts'
import { isSelectorKey, isSelectorValue } from '../../names/selectors.ts'
import type { KeysDefinition } from '../issuer-keys.ts'

type Claims = Record<string, unknown>
type Fact = readonly [key: string, value: string]

/** Conditions that together make an entry safe: `exact` ones with given values, `any` ones that may also be `"*"`. */
export type RequiredMatch = { exact: readonly string[]; any?: readonly string[] }

/** A fact that tells the runs of one repository apart, and the values that do; any exact value unless given. */
export type Narrowing = { key: string; values?: readonly string[] }

export type Preset = {
  /** How the keys of its own facts begin. */
  prefix: string
  /** The issuer where none is given; absent where each customer has one. */
  issuer?: string
  /** What is wrong with an issuer that an operator gives, in words. */
  refusesIssuer?: (issuer: string) => string | undefined
  keys: KeysDefinition
  algorithms: readonly string[]
  singleUse: boolean
  requiredMatch: readonly RequiredMatch[]
  /** Alternatives of which an entry must ask for one, each with all its keys, unless it says `"wide": true`. */
  narrowMatch?: { why: string; ways: readonly (readonly Narrowing[])[] }
  /**
   * The preset's own facts, and the immutable ids of the one run or machine behind the proof.
   * @throws Refusal `proof_claims`, or `proof_rejected` for a kind of proof that must not be taken
   */
  read: (claims: Claims) => { facts: Fact[]; instance: string[] }
}

/** A claim as text: strings, and the numbers and booleans that issuers mix with them. */
export function textOf(claims: Claims, name: string): string | undefined {
  const value = Object.hasOwn(claims, name) ? claims[name] : undefined
  if (typeof value === 'boolean' || (typeof value === 'number' && Number.isSafeInteger(value))) return String(value)
  return typeof value === 'string' && value !== '' ? value : undefined
}

/** An id that the issuer always gives: digits or a name, and never missing. */
export function idOf(claims: Claims, name: string): string {
  const value = textOf(claims, name)
  if (value === undefined || !isSelectorValue(value)) throw refuse('proof_claims', { explanation: { claim: name } })
  return value
}

/** `run_id` of a GitHub token becomes `github:run-id`; what is missing, or no value for an entry, is left out. */
export function shortFacts(prefix: string, claims: Claims, names: readonly string[]): Fact[] {
  return names.flatMap((name) => fact(`${prefix}:${name.replaceAll('_', '-')}`, textOf(claims, name)))
}

export const fact = (key: string, value: string | undefined): Fact[] =>
  value !== undefined && isSelectorKey(key) && isSelectorValue(value) ? [[key, value]] : []
