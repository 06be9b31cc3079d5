/** What the rules for workload entries are drawn from: the configuration, and the attestor that an entry is for. */

import type { Match } from '../names/selectors.ts'

/** What is Purser's own and never granted, and how long its keys sign for. */
export type OwnRules = {
  trustDomain: string
  /** Host names that Purser is reached by. */
  names: ReadonlySet<string>
  /** The public URL, and what proofs are addressed to. */
  audiences: ReadonlySet<string>
  /** What DNS names must lie under, where the CA has name constraints. */
  dnsSuffixes?: readonly string[]
  claims: ReadonlySet<string>
  /** Seconds. */
  max: { x509: number; jwt: number }
}

/** What matters of the attestor that an entry is for. */
export type AttestorRules = {
  spiffeIdPrefix: string
  /** `token` where the proof itself names its entry (join tokens). */
  matches: 'selectors' | 'token'
  /** Whether it can ever report such a fact. */
  reports: (key: string) => boolean
  /** What makes a match too wide for it, in words. */
  tooWide: (match: Match, wide: boolean) => string | undefined
}
