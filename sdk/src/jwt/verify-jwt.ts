/** Verifies JWT-SVIDs of callers (SPIFFE JWT-SVID section 3). */
import { type KeyObject, verify } from 'node:crypto'
import type { Bundle, JwtKey } from '../bundle/bundle.ts'
import type { BundleCache } from '../bundle/bundle-cache.ts'
import { unlessAborted } from '../time/deadline.ts'
import { PurserError } from '../errors.ts'
import { checkOptions } from '../identity/check-options.ts'
import { readAccept } from '../identity/accept.ts'
import { readAudience } from './audience.ts'
import { badToken } from './bad-token.ts'
import { type Claims, judgeClaims, readClaims } from './claims.ts'
import { type Compact, checkLength, digestOf, readCompact } from './compact.ts'
import { createRecent } from './recent.ts'
import type { Revocation } from './revocation.ts'
import type { VerifyJwtOptions, VerifiedJwt } from '../types/jwt.ts'

const names: Record<keyof VerifyJwtOptions, true> = {
  audience: true,
  accept: true,
  revocation: true,
  revocationMaxAgeSeconds: true,
  signal: true,
}

export type VerifyJwt = (token: string, options: VerifyJwtOptions) => Promise<VerifiedJwt>

type Parts = {
  bundles: Pick<BundleCache, 'get' | 'refresh'>
  revocation: Revocation
  trustDomain: string
  closing: AbortSignal
  warn: (warning: string) => void
  now: () => number
}

/** A token with a valid signature, and the key and bundle that verified it. */
type VerifiedToken = { claims: Claims; signed: string; kid: string; key: KeyObject; bundle: Bundle }

const maxCached = 1_000

export function createVerifyJwt({ bundles, revocation, trustDomain, closing, warn, now }: Parts): VerifyJwt {
  // Keyed by the whole token: keyed by its signed part, any signature would pass the second time.
  const cache = createRecent<VerifiedToken>(maxCached)

  async function read(token: string, signal: AbortSignal | undefined): Promise<VerifiedToken> {
    const digest = digestOf(token)
    const cached = cache.get(digest)
    if (cached && isStillValid(cached, await bundles.get(signal))) return cached
    const compact = readCompact(token)
    const { kid } = compact
    const { key, bundle } = await keyFor(kid, await bundles.get(signal), signal)
    checkSignature(compact, key)
    const claims = readClaims(compact.payload, trustDomain)
    const verified = { claims, signed: digestOf(compact.signed), kid, key: key.key, bundle }
    cache.set(digest, verified)
    return verified
  }

  /** An unknown key may be new, so the bundle is read again, within its limits. */
  async function keyFor(
    kid: string,
    cached: Bundle,
    signal: AbortSignal | undefined,
  ): Promise<{ key: JwtKey; bundle: Bundle }> {
    const bundle = cached.jwtKeys.has(kid) ? cached : await bundles.refresh(signal)
    const key = bundle.jwtKeys.get(kid)
    if (!key) throw badToken('kid', `${trustDomain} has no key with this id`)
    return { key, bundle }
  }

  return async (token, options) => {
    if (closing.aborted) throw closing.reason
    checkOptions(options, names, 'verifyJwt')
    const { accept, signal } = options
    const audiences = readAudience(options.audience)
    checkLength(token)
    const { claims, signed } = await read(token, signal)
    judgeClaims(claims, audiences, now())
    const { spiffeId, audience, exp, iat, jti, all } = claims
    if (accept !== undefined && !readAccept(accept, trustDomain, warn)(spiffeId)) {
      throw new PurserError('bad_peer', `the token is of ${spiffeId}, which is not accepted here`)
    }
    await unlessAborted(signal, () => revocation({ token, signed, exp }, options))
    const [expiresAt, issuedAt] = [new Date(exp * 1000), new Date(iat * 1000)]
    return { spiffeId, audience: [...audience], expiresAt, issuedAt, jti, claims: all }
  }
}

/** The tokens of a withdrawn key are no longer valid. */
function isStillValid(token: VerifiedToken, bundle: Bundle): boolean {
  if (token.bundle === bundle) return true
  if (bundle.jwtKeys.get(token.kid)?.key.equals(token.key) !== true) return false
  token.bundle = bundle
  return true
}

/** @throws PurserError `bad_token` */
export function checkSignature({ alg, signed, signature }: Compact, { key, alg: keyAlg }: JwtKey): void {
  // The key determines the algorithm; the token must agree.
  if (alg !== keyAlg) throw badToken('alg', 'it is not the algorithm of its key')
  // RFC 7518 section 3.4: R and S concatenated, not ASN.1.
  const withKey = alg === 'ES256' ? ({ key, dsaEncoding: 'ieee-p1363' } as const) : key
  if (!verify('sha256', Buffer.from(signed), withKey, signature))
    throw badToken('signature', 'it does not verify with its key')
}
