/** The shapes of a workload entry, as operators write it and as it is evaluated. */
import type { Match } from '../names/selectors.ts'
import type { Bound, BoundDefinition } from '../names/bound.ts'
import type { Role } from '../store/rows.ts'
import type { SecretGrant, SecretGrantDefinition } from './secret-grants.ts'

type JwtAudience = { audience: string; alg: 'ES256' | 'RS256'; claims: Record<string, string> }

/** As stored: validated when it was written, without defaults. */
export type WorkloadDefinition = {
  name: string
  attestor: string
  match?: Match
  spiffeId: string
  grants?: {
    x509?: { dnsNames?: string[]; maxLifetimeSeconds?: number }
    jwt?: {
      audiences: (string | { audience: string; alg?: 'ES256' | 'RS256'; claims?: Record<string, string> })[]
      maxLifetimeSeconds?: number
    }
    secrets?: SecretGrantDefinition[]
    databases?: string[]
    operator?: OperatorGrantDefinition
  }
  maxSessionSeconds?: number
  requirePodBound?: boolean
  pinIdentity?: boolean
  wide?: boolean
  consumers?: unknown
  managedBy?: string
  labels?: Record<string, string>
}

/**
 * With a bound, the workload acts as an operator. Earlier versions stored the grant without a bound and without effect, and
 * it stays so; `paths` and `attestors` are theirs.
 */
type OperatorGrantDefinition = {
  role: Role
  bound?: BoundDefinition | 'everything'
  routes?: string[]
  paths?: string[]
  attestors?: string[]
}

/** As which operator a workload acts. */
export type OperatorGrant = {
  role: Role
  /** Absent: everything. */
  bound?: Bound
  /** Absent: all routes. */
  routes?: readonly string[]
}

/** What a workload may have, with all templates rendered. Lifetimes are in seconds. */
export type Grant = {
  spiffeId: string
  x509?: { dnsNames: string[]; maxLifetimeSeconds: number }
  jwt?: { audiences: JwtAudience[]; maxLifetimeSeconds: number }
  secrets: SecretGrant[]
  /** Names of databases. */
  databases: string[]
  operator?: OperatorGrant
  accessToken: { maxLifetimeSeconds: number }
}
