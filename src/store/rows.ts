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

/** `instance`: whoever a revoked session was, by `SessionRow.instance` in hex; it may not come back as another session. */
export type BlockKind = 'session' | 'instance' | 'spiffeId' | 'serialNumber' | 'jti' | 'accessToken'

/** Something revoked. `at` is the cut where the kind has one (everything of a SPIFFE ID issued before it). */
export type BlockRow = {
  id: string
  kind: BlockKind
  value: string
  keyId?: string
  reason?: string
  at: Date
  until: Date
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
