/** The rows that every replica holds in memory, in our own words. `definition` is what the operator wrote, checked at the door. */

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
}

/** The immutable id seen behind an account's name; superseded once another id came under the same name. */
export type AccountPinRow = { attestorId: string; account: string; uid: string; firstSeen: Date; superseded: boolean }

/** `instance`: `SessionRow.instance` in hex. */
export type BlockKind = 'session' | 'instance' | 'spiffeId' | 'serialNumber' | 'jti' | 'accessToken'

/** Something revoked at `at`. */
export type BlockRow = {
  id: string
  kind: BlockKind
  value: string
  keyId?: string
  reason?: string
  at: Date
  until: Date
  /** The revocation that a block of an instance or a SPIFFE ID is released by. */
  revocation?: string
  /** Of an instance: the session that was revoked. */
  sessionId?: string
  /** Of an instance: the workload entry that the MAC of an earlier version includes. */
  workloadId?: string
}

export type Role = 'admin' | 'operator' | 'auditor'
export type ApiTokenRow = {
  id: string
  hash: string
  operator: string
  role: Role
  createdAt: Date
  expiresAt: Date
  revokedAt?: Date
  used: boolean
}

export type KeyKind = 'root-ca' | 'issuing-ca' | 'jwt-es256' | 'jwt-rs256' | 'log' | 'mac'

/**
 * A key in its wrapped form, with the four times of its life: published, signs from, signs until, unpublished. An issuing
 * CA without a chain was requested and waits for an upstream CA; a root without a wrapped key is an upstream CA's own.
 */
export type KeyRow = {
  id: string
  kind: KeyKind
  algorithm: string
  /** SPKI DER; empty for a MAC key. */
  publicKey: Buffer
  wrapped: Buffer
  wrappingKeyId: string
  /** For an issuing CA: the key id of the root that signed it; absent when an upstream CA did. */
  issuerKeyId?: string
  /** For CAs: the PEM chain, own certificate first. */
  chain?: string
  createdAt: Date
  activeAt: Date
  retireAt: Date
  goneAt: Date
  withdrawnAt?: Date
  /** For log keys: the epoch, and the first and last tree size that it signs; no last one while it signs. */
  epoch?: number
  fromSize?: number
  toSize?: number
}

/**
 * A secret without its values. `version` is the newest one that was made current; whether it can be read is written with
 * the version itself. `revision` moves on with everything that changes what a read answers.
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
  /** The kind of rotator that makes its versions, where it has one. */
  rotator?: string
  createdAt: Date
  updatedAt: Date
}

/** Something sealed under a data key of its own, which the keyring wraps (keys/data-keys.ts). */
export type SealedValue = { wrappingKeyId: string; dataKey: Buffer; ciphertext: Buffer }

/** A database in which Purser makes roles. `definition` is what the operator wrote, without the credential. */
export type DatabaseRow = {
  id: string
  name: string
  kind: string
  definition: Record<string, unknown>
  revision: number
  admin?: SealedValue
  createdAt: Date
}
