/**
 * grant → JWT-SVID (SPIFFE JWT-SVID; contracts of AWS, Google and Azure: RS256 where the grant says so, integer times).
 */
import { type KeyObject, sign } from 'node:crypto'
import { promisify } from 'node:util'
import type { IssuedJwt as JwtRecord } from '../store/issued.ts'
import { type Problem, refuse } from '../errors.ts'
import type { OpenKey } from '../keys/keys.ts'
import { endOf, renewAfter, rfc3339 } from './lifetime.ts'

export type JwtRequest = { audience: string[]; lifetimeSeconds?: number }
export type JwtReply = { audience: string[]; token: string; jti: string; expiresAt: string; renewAfter: string }
type JwtAudienceGrant = { audience: string; alg: 'ES256' | 'RS256'; claims: Record<string, string> }

/** Claims that only Purser sets. A grant's extra claims cannot override them. */
export const reservedClaims = ['iss', 'sub', 'aud', 'exp', 'iat', 'nbf', 'jti', 'cnf'] as const

export type IssueJwt = (
  request: JwtRequest,
  /** Where in the request it stands, for errors. */
  pointer: string,
  grant: { spiffeId: string; audiences: readonly JwtAudienceGrant[]; maxLifetimeSeconds: number },
  signing: { key: (alg: 'ES256' | 'RS256') => OpenKey; issuer: string; sessionEnd: Date; now: Date },
) => Promise<{ reply: JwtReply; record: JwtRecord }>

/** One token for several audiences takes one algorithm and no claim of one of them alone. */
function chooseAudiences(
  request: JwtRequest,
  pointer: string,
  granted: readonly JwtAudienceGrant[],
): JwtAudienceGrant[] {
  const errors: Problem[] = []
  const requests = request.audience.flatMap((audience, n) => {
    const audienceGrant = granted.find((grant) => grant.audience === audience)
    if (!audienceGrant) errors.push({ pointer: `${pointer}/audience/${n}`, detail: 'this audience is not granted' })
    return audienceGrant ? [audienceGrant] : []
  })
  if (errors.length > 0) throw refuse('not_granted', { errors })
  const [first] = requests
  const alike = requests.every(
    (grant) => grant.alg === first?.alg && JSON.stringify(grant.claims) === JSON.stringify(first.claims),
  )
  if (!alike) {
    const detail = 'these audiences need tokens of their own: their algorithm or claims differ'
    throw refuse('impossible', { errors: [{ pointer: `${pointer}/audience`, detail }] })
  }
  return requests
}

type Header = { alg: 'ES256' | 'RS256'; kid: string; typ: 'JWT' }

const signAside = promisify(sign)
const base64url = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')

/**
 * A compact JWS (RFC 7515 section 7.1). ES256 in place, since the thread pool costs more than the signature does;
 * RS256, twenty times as slow, there. Its keys are RSA keys, and ES256's are of P-256 (keys/new-key.ts).
 */
async function signed(header: Header, claims: object, key: KeyObject): Promise<string> {
  const input = `${base64url(header)}.${base64url(claims)}`
  const bytes = Buffer.from(input, 'latin1')
  const signature =
    header.alg === 'ES256'
      ? // r and s, not DER (RFC 7518 section 3.4).
        sign('sha256', bytes, { key, dsaEncoding: 'ieee-p1363' })
      : await signAside('sha256', bytes, key)
  return `${input}.${signature.toString('base64url')}`
}

export function createIssueJwt(parts: { randomBytes: (size: number) => Buffer }): IssueJwt {
  return async (request, pointer, grant, { key, issuer, sessionEnd, now }) => {
    const [first] = chooseAudiences(request, pointer, grant.audiences)
    if (!first) throw refuse('not_granted')
    const signer = key(first.alg)
    const end = endOf(now, request.lifetimeSeconds, grant.maxLifetimeSeconds, [sessionEnd, signer.row.goneAt])
    const jti = parts.randomBytes(16).toString('hex')
    const at = Math.floor(now.getTime() / 1000)
    const token = await signed(
      // Nothing but alg, kid and typ may stand in the header of a JWT-SVID (section 2).
      { alg: first.alg, kid: signer.row.id, typ: 'JWT' },
      Object.assign({}, first.claims, {
        iss: issuer,
        sub: grant.spiffeId,
        aud: request.audience,
        iat: at,
        nbf: at,
        exp: Math.floor(end.getTime() / 1000),
        jti,
      }),
      signer.key,
    )
    const expiresAt = rfc3339(end)
    return {
      reply: { audience: request.audience, token, jti, expiresAt, renewAfter: rfc3339(renewAfter(now, end)) },
      record: { jti, audience: request.audience, expiresAt, keyId: signer.row.id },
    }
  }
}
