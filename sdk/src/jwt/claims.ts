/** The claims of a JWT-SVID with a valid signature (SPIFFE JWT-SVID section 3). */
import { readSpiffeId } from '../identity/spiffe-id.ts'
import { badToken } from './bad-token.ts'
import { type JsonObject, readStrictObject } from '../json/strict.ts'

export type Claims = {
  spiffeId: string
  audience: readonly string[]
  jti: string
  /** Seconds since 1970 (RFC 7519 NumericDate). */
  exp: number
  iat: number
  nbf: number | undefined
  all: JsonObject
}

/** Allowed clock skew, in seconds. */
const leewaySeconds = 10
/** Ten years in seconds, the longest grant. */
const maxLifetime = 315_360_000

const isTime = (value: unknown): value is number => Number.isSafeInteger(value) && Number(value) > 0

/**
 * Checks what never changes about a token: its form and its subject.
 * @throws PurserError `bad_token`
 */
export function readClaims(payload: Uint8Array, trustDomain: string): Claims {
  const all = readStrictObject(payload)
  if (!all) throw badToken('claims', 'they are not a JSON object with unique names')
  const { sub, aud, exp, iat, nbf, jti } = all
  const id = typeof sub === 'string' ? readSpiffeId(sub) : undefined
  if (typeof sub !== 'string' || id?.trustDomain !== trustDomain || id.path === '') {
    throw badToken('sub', `it is not the SPIFFE ID of a workload in ${trustDomain}`)
  }
  const audience: unknown[] = Array.isArray(aud) ? aud : [aud]
  if (audience.length === 0 || !audience.every((name): name is string => typeof name === 'string' && name !== '')) {
    throw badToken('aud', 'it is neither a string nor a list of strings')
  }
  if (!isTime(exp)) throw badToken('exp', 'it is not a positive integer of seconds')
  if (!isTime(iat) || iat >= exp || exp - iat > maxLifetime) {
    throw badToken('iat', 'it is not an integer of seconds within a lifetime before exp')
  }
  if (nbf !== undefined && (!isTime(nbf) || nbf >= exp))
    throw badToken('nbf', 'it is not a positive integer before exp')
  if (typeof jti !== 'string' || jti === '') throw badToken('jti', 'it is missing')
  return { spiffeId: sub, audience, jti, exp, iat, nbf, all }
}

/**
 * Checks audience and time.
 * @param names of this service; the token must be for one of them
 * @param now milliseconds since 1970
 * @throws PurserError `bad_token`
 */
export function judgeClaims({ audience, exp, iat, nbf }: Claims, names: readonly string[], now: number): void {
  if (!audience.some((name) => names.includes(name))) throw badToken('aud', `it is not for ${names.join(' or ')}`)
  const seconds = now / 1000
  if (exp + leewaySeconds <= seconds) throw badToken('exp', `it ended at ${new Date(exp * 1000).toISOString()}`)
  if (Math.max(iat, nbf ?? 0) > seconds + leewaySeconds) {
    throw badToken(
      nbf !== undefined && nbf > iat ? 'nbf' : 'iat',
      `it begins in the future: compare this machine's clock with Purser's`,
    )
  }
}
