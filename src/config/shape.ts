/** The one object that the server is built from. Frozen, and printable: secrets show themselves as `(secret)`. */
import type { CaConstraints } from './name-constraints.ts'
import type { Secret } from './secret.ts'
import type { Address } from './values.ts'

/** Frozen all the way down; a secret already is. */
type Deep<T> = T extends string | number | boolean | Secret ? T : { readonly [K in keyof T]: Deep<T[K]> }

export type Config = Deep<{
  trustDomain: string
  /** The issuer: https, as relying parties compare it. */
  publicUrl: string
  /** What proofs may be addressed to; the first is the default of an attestor. Never empty. */
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
    /** What a change of the database server means for the log (audit/database-server.ts). */
    failover: 'confirm' | 'synchronous' | 'unchecked'
  }
  /** `create`: made by itself when missing, only for the embedded store. */
  rootKey: { kind: 'value'; value: Secret } | { kind: 'file'; path: string; create: boolean }
  /** Networks, `address/bits`. */
  trustedProxies: string[]
  /** Origins and hosts, as outbound/target.ts reads them. */
  fetchAllow: string[]
  log: { level: 'debug' | 'info' | 'warn' | 'error' | 'silent'; headUrl?: string }
  /** 1 on the embedded store, whatever was asked. */
  workers: number
  bootstrapTokenFile?: string
  drainSeconds: number
  /** Of one listener, for all workers together. */
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
  /** Seconds for which the keys of an issuer count that can't be reached. */
  keepIssuerKeys: number
  /** Seconds for which every entry of the log keeps its text. */
  minRedactionAge: number
  keys: Keys
  /** For people, at start: what works but is probably not meant. */
  warnings: string[]
}>

/** Seconds, in the shape that keys/lifetimes.ts takes, and the cache lifetime that we advertise. */
export type Keys = {
  publish: number
  sign: { issuingCa: number; jwt: number }
  max: { x509: number; jwt: number }
  rootCa: number
  bundleRefresh: number
}
