/** The facts that the rules for workload entries need: from the configuration, and from the attestor of an entry. */
import type { Match } from '../names/selectors.ts'

/** Names of Purser itself, which are never granted, and the lifetimes that its keys allow. */
export type OwnRules = {
  trustDomain: string
  /** Host names of Purser. */
  names: ReadonlySet<string>
  /** The public URL, and the audiences of proofs. */
  audiences: ReadonlySet<string>
  /** The suffixes of DNS names, if the CA has name constraints. */
  dnsSuffixes?: readonly string[]
  /** Claims that Purser sets itself. */
  claims: ReadonlySet<string>
  /** Seconds. */
  max: { x509: number; jwt: number }
}

/** The attestor of an entry. */
export type AttestorRules = {
  spiffeIdPrefix: string
  /** `token` if the proof itself names its entry (join tokens). */
  matches: 'selectors' | 'token'
  /** Whether it can report a fact with this key. */
  reports: (key: string) => boolean
  /** The conditions that a match lacks for this attestor, in words. */
  tooWide: (match: Match, wide: boolean) => string | undefined
  /** Why a match is wide for workloads that act as operators, in words. */
  wideForOperators: (match: Match) => string | undefined
}
