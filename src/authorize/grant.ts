/** The shapes of a workload entry, as operators write it and as it is evaluated. */
import type { Match } from '../names/selectors.ts'
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
    /** Stored and validated, but not served yet. */
    operator?: { role: Role; paths?: string[]; attestors?: string[] }
  }
  maxSessionSeconds?: number
  requirePodBound?: boolean
  pinIdentity?: boolean
  wide?: boolean
  consumers?: unknown
  managedBy?: string
  labels?: Record<string, string>
}

/** What a workload may have, with all templates rendered. Lifetimes are in seconds. */
export type Grant = {
  spiffeId: string
  x509?: { dnsNames: string[]; maxLifetimeSeconds: number }
  jwt?: { audiences: JwtAudience[]; maxLifetimeSeconds: number }
  secrets: SecretGrant[]
  /** Names of databases. */
  databases: string[]
  accessToken: { maxLifetimeSeconds: number }
}
