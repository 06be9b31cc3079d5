/** The shape of a preset, and functions that read claims for it. */
import { refuse } from '../../errors.ts'
import { isSelectorKey, isSelectorValue } from '../../names/selectors.ts'
import type { KeysDefinition } from '../attestor.ts'

type Claims = Record<string, unknown>
type Fact = readonly [key: string, value: string]

/** Conditions that together make an entry safe: `exact` ones with given values, `any` ones that may also be `"*"`. */
export type RequiredMatch = { exact: readonly string[]; any?: readonly string[] }

/** A fact that distinguishes runs of one repository. Without `values`, any exact value does. */
export type Narrowing = { key: string; values?: readonly string[] }

export type Preset = {
  /** The prefix of its facts' keys. */
  prefix: string
  /** The default issuer; absent where each customer has one. */
  issuer?: string
  /** What is wrong with an issuer. */
  refusesIssuer?: (issuer: string) => string | undefined
  keys: KeysDefinition
  algorithms: readonly string[]
  singleUse: boolean
  requiredMatch: readonly RequiredMatch[]
  /** An entry must have one of these sets of conditions, unless it has `"wide": true`. */
  narrowMatch?: { why: string; ways: readonly (readonly Narrowing[])[] }
  /** An entry whose workloads act as operators should have one of these sets: only what others approved runs so. */
  approvedRuns?: readonly (readonly Narrowing[])[]
  /**
   * The preset's facts, and the immutable ids of the run or machine behind the proof.
   * @throws Refusal `proof_claims`, or `proof_rejected` for a kind of proof that is not safe
   */
  read: (claims: Claims) => { facts: Fact[]; instance: string[] }
}

/** A claim as text: issuers mix strings, numbers and booleans. */
export function textOf(claims: Claims, name: string): string | undefined {
  const value = Object.hasOwn(claims, name) ? claims[name] : undefined
  if (typeof value === 'boolean' || (typeof value === 'number' && Number.isSafeInteger(value))) return String(value)
  return typeof value === 'string' && value !== '' ? value : undefined
}

/** An id that every token of the issuer has. */
export function idOf(claims: Claims, name: string): string {
  const value = textOf(claims, name)
  if (value === undefined || !isSelectorValue(value)) throw refuse('proof_claims', { explanation: { claim: name } })
  return value
}

/** `run_id` of a GitHub token becomes `github:run-id`. Missing claims, and those that no entry could match, are left out. */
export function shortFacts(prefix: string, claims: Claims, names: readonly string[]): Fact[] {
  return names.flatMap((name) => fact(`${prefix}:${name.replaceAll('_', '-')}`, textOf(claims, name)))
}

export const fact = (key: string, value: string | undefined): Fact[] =>
  value !== undefined && isSelectorKey(key) && isSelectorValue(value) ? [[key, value]] : []
