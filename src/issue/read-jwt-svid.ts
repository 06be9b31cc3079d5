/**
 * A JWT-SVID of ours, read back: whether one of our published keys signed it, for this trust domain, and when it ends.
 */
import { compactVerify, errors } from 'jose'
import { JsonError, parseStrict } from '../json/strict.ts'
import { publicKeyOf, publishedKeys } from '../keys/keys.ts'
import type { Snapshot } from '../store/snapshot.ts'

export type OwnJwt = {
  iss: string
  sub: string
  aud: string[]
  exp: number
  iat: number
  nbf: number
  jti: string
}

const max = 16_384
const compact = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/
const kinds = { ES256: 'jwt-es256', RS256: 'jwt-rs256' } as const

/** Whether the text is the only base64url text of its bytes: decoders also accept other trailing bits. */
const isCanonical = (segment: string): boolean => Buffer.from(segment, 'base64url').toString('base64url') === segment

function strictObject(segment: string): Record<string, unknown> | undefined {
  try {
    const value = parseStrict(Buffer.from(segment, 'base64url'), { maxDepth: 16 })
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : undefined
  } catch (error) {
    if (error instanceof JsonError) return undefined
    throw error
  }
}

/** Claims as `createIssueJwt` writes them; what a key of ours signed in another shape is nothing that we issued. */
function asOurs(claims: Record<string, unknown>): OwnJwt | undefined {
  const { iss, sub, exp, iat, nbf, jti } = claims
  const aud = typeof claims.aud === 'string' ? [claims.aud] : claims.aud
  if (typeof iss !== 'string' || typeof sub !== 'string' || typeof jti !== 'string') return undefined
  if (typeof exp !== 'number' || typeof iat !== 'number' || typeof nbf !== 'number') return undefined
  if (!Array.isArray(aud) || !aud.every((audience): audience is string => typeof audience === 'string'))
    return undefined
  return { iss, sub, aud, exp, iat, nbf, jti }
}

/**
 * The claims of a JWT-SVID of Purser that is valid now; undefined for any other text, without the reason. Does not check
 * revocation.
 */
export async function readJwtSvid(
  token: string,
  snapshot: Pick<Snapshot, 'keys' | 'issuer'>,
  now: Date,
): Promise<OwnJwt | undefined> {
  const segments = token.split('.')
  if (token.length > max || !compact.test(token) || !segments.every(isCanonical)) return undefined
  const [header = '', payload = ''] = segments
  const { alg, kid } = strictObject(header) ?? {}
  if ((alg !== 'ES256' && alg !== 'RS256') || typeof kid !== 'string') return undefined
  const row = publishedKeys(snapshot, kinds[alg], now).find((key) => key.id === kid)
  if (!row) return undefined
  try {
    await compactVerify(token, publicKeyOf(row), { algorithms: [alg] })
  } catch (error) {
    if (error instanceof errors.JOSEError) return undefined
    throw error
  }
  const claims = asOurs(strictObject(payload) ?? {})
  const at = now.getTime() / 1000
  // Purser's own clock set these times, so no skew is allowed for.
  if (!claims || claims.iss !== snapshot.issuer || claims.exp <= at || claims.nbf > at + 1) return undefined
  return claims
}
