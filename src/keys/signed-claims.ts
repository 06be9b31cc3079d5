/**
 * Statements of Purser's own under its ES256 JWT key, for readers of /keys. Their type says that they are no JWT-SVID
 * (RFC 8725 section 3.11), and they have no subject.
 */
import { SignJWT } from 'jose'
import type { Snapshot } from '../store/snapshot.ts'
import type { Keys } from './keys.ts'

export type ClaimSigner = (claims: { aud: string; jti: string } & Record<string, string>) => Promise<string>

const lifetimeSeconds = 120

/** @param parts.type of the header, without `+jwt` */
export function createClaimSigner(parts: {
  type: string
  keys: Pick<Keys, 'signing'>
  currentSnapshot: () => Snapshot
  now: () => Date
}): ClaimSigner {
  return (claims) => {
    const snapshot = parts.currentSnapshot()
    const now = parts.now()
    const { row, key } = parts.keys.signing(snapshot, 'jwt-es256', now)
    const at = Math.floor(now.getTime() / 1000)
    return new SignJWT(claims)
      .setProtectedHeader({ alg: 'ES256', kid: row.id, typ: `${parts.type}+jwt` })
      .setIssuer(snapshot.issuer)
      .setIssuedAt(at)
      .setExpirationTime(at + lifetimeSeconds)
      .sign(key)
  }
}
