/** The configuration of the server. Frozen, and safe to print: secrets print as `(secret)`. */
import type { CaConstraints } from './name-constraints.ts'
import type { Secret } from './secret.ts'
import type { Address } from './values.ts'

/** Deeply read-only; a secret is frozen already. */
type Deep<T> = T extends string | number | boolean | Secret ? T : { readonly [K in keyof T]: Deep<T[K]> }

export type Config = Deep<{
  trustDomain: string
  /** The issuer, an https URL. */
  publicUrl: string
  /** The accepted audiences of proofs; the first is the default of an attestor. Never empty. */
  audiences: string[]
  listen: Address
  /** Absent: operators and auditors use `listen`. */
  adminListen?: Address
  metricsListen?: Address
  crlListen?: Address
  /** The base of the distribution points in certificates. */
  crlUrl: string
  /** Absent: certificates of CAs have no name constraints. */
  nameConstraints?: CaConstraints
  tls: { kind: 'own-ca'; names: string[] } | { kind: 'files'; certFile: string; keyFile: string } | { kind: 'off' }
  dataDir: string
  database: ({ kind: 'embedded' } | { kind: 'postgres'; url: Secret; migrateUrl: Secret; waitSeconds: number }) & {
    migrate: 'auto' | 'check'
    /** How the log treats a change of the database server (audit/database-server.ts). */
    failover: 'confirm' | 'synchronous' | 'unchecked'
  }
  /** `create`: a missing key is created, only for the embedded store. */
  rootKey: { kind: 'value'; value: Secret } | { kind: 'file'; path: string; create: boolean }
  /** Networks, `address/bits`. */
  trustedProxies: string[]
  /** Origins and hosts, as outbound/target.ts reads them. */
  fetchAllow: string[]
  log: { level: 'debug' | 'info' | 'warn' | 'error' | 'silent'; headUrl?: string }
  /** Always 1 on the embedded store. */
  workers: number
  bootstrapTokenFile?: string
  drainSeconds: number
  /** Per listener, for all workers together. */
  maxConnections: number
  /** For all workers together. */
  limits: {
    addressPerSecond: number
    publicPerSecond: number
    attestorPerSecond: number
    burstSeconds: number
    refusalsPerMinute: number
    allRefusalsPerMinute: number
  }
  /** Seconds for which cached keys of an unreachable issuer are used. */
  keepIssuerKeys: number
  /** Seconds for which an entry of the log cannot be redacted. */
  minRedactionAge: number
  keys: Keys
  /** Shown at start: settings that work but are probably a mistake. */
  warnings: string[]
}>

/** Seconds, in the shape of keys/lifetimes.ts, with the advertised cache lifetime. */
export type Keys = {
  publish: number
  sign: { issuingCa: number; jwt: number }
  max: { x509: number; jwt: number }
  rootCa: number
  bundleRefresh: number
}
