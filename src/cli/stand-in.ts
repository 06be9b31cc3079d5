/**
 * A stand-in for an orchestrator, for `purser dev` and `purser demo`: it signs a token for any workload, as a cluster or
 * a CI system does for those it starts. Purser has its key from an attestor with an inline key set.
 */
import { type KeyObject, createHash, createPublicKey, randomUUID, sign } from 'node:crypto'
import type { Schemas } from './api-types.ts'

export type StandIn = ReturnType<typeof createStandIn>
type TokenOptions = { audience: string; seconds: number; now?: Date }

const base64url = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')

/** @param privateKey EC P-256 */
export function createStandIn(issuer: string, privateKey: KeyObject) {
  const { x = '', y = '' } = createPublicKey(privateKey).export({ format: 'jwk' })
  const [kty, crv] = ['EC', 'P-256'] as const
  // RFC 7638: the thumbprint names the key.
  const kid = createHash('sha256').update(JSON.stringify({ crv, kty, x, y })).digest('base64url')
  return {
    issuer,
    jwks: { keys: [{ kty, crv, x, y, kid, alg: 'ES256', use: 'sig' }] } satisfies Schemas['Jwks'],
    /** A JWT (RFC 7519) that is valid for `seconds`. */
    token(subject: string, { audience, seconds, now = new Date() }: TokenOptions): string {
      const iat = Math.floor(now.getTime() / 1000)
      const claims = { iss: issuer, sub: subject, aud: audience, iat, exp: iat + seconds, jti: randomUUID() }
      const text = `${base64url({ alg: 'ES256', typ: 'JWT', kid })}.${base64url(claims)}`
      // JWS signatures hold both numbers side by side, not in DER (RFC 7518 section 3.4).
      return `${text}.${sign('sha256', Buffer.from(text), { key: privateKey, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`
    },
  }
}
