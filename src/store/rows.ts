/** The rows of a snapshot as Purser's own types. `definition` is what the operator wrote, validated by the request that stored it. */
import type { Bound } from '../names/bound.ts'

export type AttestorRow = {
  id: string
  name: string
  kind: string
  issuer?: string
  audience?: string
  spiffeIdPrefix: string
  definition: Record<string, unknown>
  revision: number
}

export type WorkloadRow = {
  id: string
  name: string
  attestorId: string
  definition: Record<string, unknown>
  disabled: boolean
  revision: number
  /** That of the operator who wrote the definition: what the entry grants stays within it. Absent: everything. */
  bound?: Bound
}

/** The immutable id of an account. It is superseded when another id appears under the account's name. */
export type AccountPinRow = { attestorId: string; account: string; uid: string; firstSeen: Date; superseded: boolean }

/**
 * `instance`: `SessionRow.instance` in hex. `attestor`: the id of the attestor. `selectors`: a hash; the row has the
 * selectors and their attestor.
 */
export type BlockKind =
  'session' | 'instance' | 'spiffeId' | 'attestor' | 'selectors' | 'serialNumber' | 'jti' | 'accessToken'

/** A revoked credential, session, instance or SPIFFE ID. */
export type BlockRow = {
  id: string
  kind: BlockKind
  value: string
  keyId?: string
  reason?: string
  at: Date
  until: Date
  /** For a caller: the revocation or containment whose release lifts the block. */
  revocation?: string
  /** For an instance: the revoked session. */
  sessionId?: string
  /** For an instance: the workload entry that the MAC of an earlier version includes. */
  workloadId?: string
  /** For an attestor, or selectors at it. */
  attestorId?: string
  selectors?: Record<string, string>
}

export type Role = 'admin' | 'operator' | 'auditor'

/** A person or automation with API tokens. `role` bounds what all of its tokens may do. */
export type OperatorRow = {
  id: string
  name: string
  role: Role
  /** Absent: everything. */
  bound?: Bound
  disabled: boolean
  revision: number
  createdAt: Date
  updatedAt: Date
  /** When its password was set; absent without a password. */
  passwordAt?: Date
  /** When its second factor was confirmed; absent without one. */
  secondFactorAt?: Date
  /** How many it has; absent without one. */
  passkeys?: number
  /** The source that keeps it; absent where people do. */
  managedBy?: string
}

export type ApiTokenRow = {
  id: string
  hash: string
  operator: string
  role: Role
  /** `METHOD /path` as openapi.yaml has them; absent where the token has all routes. */
  routes?: readonly string[]
  /** Absent: that of the operator. */
  bound?: Bound
  description?: string
  createdAt: Date
  expiresAt: Date
  revokedAt?: Date
  used: boolean
  /** A login created it: a login session. */
  login?: true
  /** The mapping of claims that gave a login at an OpenID provider its role. */
  loginBy?: string
}

export type KeyKind = 'root-ca' | 'issuing-ca' | 'jwt-es256' | 'jwt-rs256' | 'log' | 'mac'

/**
 * A wrapped key with the four times of its life: publication, first and last signature, removal from publication. An
 * issuing CA without a chain waits for an upstream CA. A root without a wrapped key belongs to an upstream CA.
 */
export type KeyRow = {
  id: string
  kind: KeyKind
  algorithm: string
  /** SPKI DER; empty for a MAC key. */
  publicKey: Buffer
  wrapped: Buffer
  wrappingKeyId: string
  /** For an issuing CA: the id of the root key that signed it; absent when an upstream CA signed it. */
  issuerKeyId?: string
  /** For a CA: the PEM chain, starting with its own certificate. */
  chain?: string
  createdAt: Date
  activeAt: Date
  retireAt: Date
  goneAt: Date
  withdrawnAt?: Date
  /** For a log key: the epoch, and the first and last tree size that it signs. A key in use has no last size. */
  epoch?: number
  fromSize?: number
  toSize?: number
}

/**
 * A secret without its values. `version` is the current version; its own row says whether it can be read. Every change
 * that affects the reply to a read increments `revision`.
 */
export type SecretRow = {
  id: string
  path: string
  version: number
  revision: number
  description?: string
  labels: Record<string, string>
  maxVersions: number
  managedBy?: string
  /** The kind of rotator that generates its versions. */
  rotator?: string
  createdAt: Date
  updatedAt: Date
}

/** A value that is encrypted by its own data key, which the keyring wraps (keys/data-keys.ts). */
export type SealedValue = { wrappingKeyId: string; dataKey: Buffer; ciphertext: Buffer }

/** A database in which Purser creates roles. `definition` is what the operator wrote, without the credential. */
export type DatabaseRow = {
  id: string
  name: string
  kind: string
  definition: Record<string, unknown>
  revision: number
  admin?: SealedValue
  createdAt: Date
}
