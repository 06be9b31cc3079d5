/** The claims of a JWT-SVID whose signature held (SPIFFE JWT-SVID section 3). */
import { readSpiffeId } from '../identity/spiffe-id.ts'
import { badToken } from './bad-token.ts'
import { type JsonObject, readStrictObject } from '../json/strict.ts'

export type Claims = {
  spiffeId: string
  audience: readonly string[]
  jti: string
  /** Seconds since 1970, as JWTs count. */
  exp: number
  iat: number
  nbf: number | undefined
  all: JsonObject
}

/** Seconds by which this machine's clock and Purser's may differ. */
const leewaySeconds = 10
/** Ten years, as the longest grant: a number of any size would outlive every key. */
const maxLifetime = 315_360_000

const isTime = (value: unknown): value is number => Number.isSafeInteger(value) && Number(value) > 0

/**
 * What never changes about a token: its shape, its subject.
 * @throws PurserError `bad_token`
 */
export function readClaims(payload: Uint8Array, trustDomain: string): Claims {
  const all = readStrictObject(payload)
  if (!all) throw badToken('claims', 'they are not one JSON object, each name once')
  const { sub, aud, exp, iat, nbf, jti } = all
  const id = typeof sub === 'string' ? readSpiffeId(sub) : undefined
  if (typeof sub !== 'string' || id?.trustDomain !== trustDomain || id.path === '') {
    throw badToken('sub', `it is not the SPIFFE ID of a workload of ${trustDomain}`)
  }
  const audience: unknown[] = Array.isArray(aud) ? aud : [aud]
  if (audience.length === 0 || !audience.every((one): one is string => typeof one === 'string' && one !== '')) {
    throw badToken('aud', 'it is neither text nor a list of texts')
  }
  if (!isTime(exp)) throw badToken('exp', 'it is no whole number of seconds')
  if (!isTime(iat) || iat >= exp || exp - iat > maxLifetime) {
    throw badToken('iat', 'it is no whole number of seconds a lifetime before exp')
  }
  if (nbf !== undefined && (!isTime(nbf) || nbf >= exp)) throw badToken('nbf', 'it is no whole number before exp')
  if (typeof jti !== 'string' || jti === '') throw badToken('jti', 'it is missing, and Purser writes one')
  return { spiffeId: sub, audience, jti, exp, iat, nbf, all }
}

/**
 * What depends on who asks and when.
 * @param wanted the names that the asking service goes by: the token must be for one of them
 * @throws PurserError `bad_token`
 */
export function judgeClaims({ audience, exp, iat, nbf }: Claims, wanted: readonly string[], now: number): void {
  if (!audience.some((one) => wanted.includes(one))) throw badToken('aud', `it is not for ${wanted.join(' or ')}`)
  const at = now / 1000
  if (exp + leewaySeconds <= at) throw badToken('exp', `it ended at ${new Date(exp * 1000).toISOString()}`)
  if (Math.max(iat, nbf ?? 0) > at + leewaySeconds) {
    throw badToken(
      nbf !== undefined && nbf > iat ? 'nbf' : 'iat',
      `it begins in the future: compare this machine's clock with Purser's`,
    )
  }
}
