/** Somebody else's JWT-SVID: who it is of, or why it is none (SPIFFE JWT-SVID section 3). */
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

/** A token whose signature held, and under which key. */
type Known = { claims: Claims; signed: string; kid: string; key: KeyObject; under: Bundle }

const maxKnown = 1_000

export function createVerifyJwt({ bundles, revocation, trustDomain, closing, warn, now }: Parts): VerifyJwt {
  // By the whole token: by what is signed alone, any signature would do the second time.
  const known = createRecent<Known>(maxKnown)

  async function read(token: string, signal: AbortSignal | undefined): Promise<Known> {
    const digest = digestOf(token)
    const before = known.get(digest)
    if (before && isStillOf(before, await bundles.get(signal))) return before
    const compact = readCompact(token)
    const { kid } = compact
    const { key, under } = await keyFor(kid, await bundles.get(signal), signal)
    checkSignature(compact, key)
    const claims = readClaims(compact.payload, trustDomain)
    const read = { claims, signed: digestOf(compact.signed), kid, key: key.key, under }
    known.set(digest, read)
    return read
  }

  /** A key that isn't known may be new: the bundle is asked for once more, within its limits. */
  async function keyFor(
    kid: string,
    bundle: Bundle,
    signal: AbortSignal | undefined,
  ): Promise<{ key: JwtKey; under: Bundle }> {
    const under = bundle.jwtKeys.has(kid) ? bundle : await bundles.refresh(signal)
    const key = under.jwtKeys.get(kid)
    if (!key) throw badToken('kid', `no key of ${trustDomain} goes by the name that it gives`)
    return { key, under }
  }

  return async (token, options) => {
    if (closing.aborted) throw closing.reason
    checkOptions(options, names, 'verifyJwt')
    const { accept, signal } = options
    const wanted = readAudience(options.audience)
    checkLength(token)
    const { claims, signed } = await read(token, signal)
    judgeClaims(claims, wanted, now())
    const { spiffeId, audience, exp, iat, jti, all } = claims
    if (accept !== undefined && !readAccept(accept, trustDomain, warn)(spiffeId)) {
      throw new PurserError('bad_peer', `the token is of ${spiffeId}, which is not accepted here`)
    }
    await unlessAborted(signal, () => revocation({ token, signed, exp }, options))
    const [expiresAt, issuedAt] = [new Date(exp * 1000), new Date(iat * 1000)]
    return { spiffeId, audience: [...audience], expiresAt, issuedAt, jti, claims: all }
  }
}

/** A key that was withdrawn takes what it signed with it. */
function isStillOf(known: Known, bundle: Bundle): boolean {
  if (known.under === bundle) return true
  if (bundle.jwtKeys.get(known.kid)?.key.equals(known.key) !== true) return false
  known.under = bundle
  return true
}

/** @throws PurserError `bad_token` */
export function checkSignature({ alg, signed, signature }: Compact, { key, alg: ofKey }: JwtKey): void {
  // The key says which algorithm it is for; a token only repeats it.
  if (alg !== ofKey) throw badToken('alg', 'it is not the algorithm of the key that it names')
  // RFC 7518 section 3.4: R and S one after the other, and not ASN.1.
  const withKey = alg === 'ES256' ? ({ key, dsaEncoding: 'ieee-p1363' } as const) : key
  if (!verify('sha256', Buffer.from(signed), withKey, signature)) throw badToken('signature', 'it is not of that key')
}
