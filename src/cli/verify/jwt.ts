/** Every check of a JWT-SVID (SPIFFE JWT-SVID sections 2 and 3), each told. */
import { type KeyObject, verify } from 'node:crypto'
import { parseStrict } from '../../json/strict.ts'
import { parseSpiffeId } from '../../names/spiffe-id.ts'
import type { Anchors } from './anchors.ts'
import { type Checks, createChecks, moment } from './checks.ts'

type Claims = Record<string, unknown>
export type Judged = { checks: Checks; facts: Record<string, unknown> }

/** The server takes no longer one. */
const longest = 16_384

/** Times of others may run ahead of this machine's clock, seconds: of a beginning that is harmless. */
const leewaySeconds = 10

export function judgeJwt(token: string, anchors: Anchors, wanted: readonly string[], now: Date): Judged {
  const checks = createChecks()
  const parts = partsOf(token)
  if (!parts) {
    checks.failed('form', 'it is not three segments of base64url with a JSON object each in the first two, each name once')
    return { checks, facts: {} }
  }
  const { header, claims } = parts
  checks.ok('form', `three segments, ${token.length} bytes`)
  judgeHeader(checks, header)
  judgeSignature(checks, token, header, anchors)
  judgeSubject(checks, claims, anchors)
  judgeAudience(checks, claims, wanted)
  judgeTimes(checks, claims, now)
  return { checks, facts: factsOf(header, claims) }
}

function partsOf(token: string): { header: Claims; claims: Claims } | undefined {
  const segments = token.split('.')
  const isCanonical = (one: string): boolean => Buffer.from(one, 'base64url').toString('base64url') === one && one !== ''
  if (token.length > longest || segments.length !== 3 || !segments.every(isCanonical)) return undefined
  const [header, claims] = segments.slice(0, 2).map(objectIn)
  return header && claims && { header, claims }
}

function objectIn(segment: string): Claims | undefined {
  try {
    const value = parseStrict(Buffer.from(segment, 'base64url'), { maxDepth: 16 })
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : undefined
  } catch {
    return undefined
  }
}

const shown = (value: unknown): string => (value === undefined ? 'nothing' : (JSON.stringify(value) ?? 'nothing').slice(0, 200))

function judgeHeader(checks: Checks, { alg, kid, typ, ...others }: Claims): void {
  const more = Object.keys(others)
  if (more.length > 0) checks.failed('header', `it holds more than alg, kid and typ: ${more.join(', ').slice(0, 200)}`)
  else if (typ !== undefined && typ !== 'JWT' && typ !== 'JOSE') checks.failed('header', `typ is ${shown(typ)}, neither JWT nor JOSE`)
  else if (typeof kid !== 'string' || kid === '') checks.failed('header', 'it names no key (kid)')
  else checks.ok('header', 'alg, kid and typ, and no other')
  if (alg === 'ES256' || alg === 'RS256') checks.ok('algorithm', alg)
  else checks.failed('algorithm', `${shown(alg)}, where JWT-SVIDs of Purser are signed with ES256 or RS256`)
}

function judgeSignature(checks: Checks, token: string, { alg, kid }: Claims, { jwtKeys, from }: Anchors): void {
  if (!jwtKeys) {
    checks.failed('key', `${from} holds roots alone; give a SPIFFE bundle, as GET /bundle answers`)
    return
  }
  const found = typeof kid === 'string' ? jwtKeys.get(kid) : undefined
  if (!found) {
    const names = [...jwtKeys.keys()].join(', ') || 'none'
    checks.failed('key', `no key of the bundle is named ${shown(kid)}: there are ${names}. Another trust domain's, or long rotated out`)
    checks.failed('signature', 'without its key nobody can tell')
    return
  }
  checks.ok('key', `${shown(kid)} is in the bundle`)
  if (found.alg !== alg) checks.failed('signature', `that key is for ${found.alg}`)
  else if (isSignedBy(token, found.alg, found.key)) checks.ok('signature', 'that key signed it')
  else checks.failed('signature', 'that key did not sign this: it was changed, or made by somebody else')
}

function isSignedBy(token: string, alg: 'ES256' | 'RS256', key: KeyObject): boolean {
  const [header, payload, signature = ''] = token.split('.')
  // RFC 7518 section 3.4: R and S one after the other, and not ASN.1.
  const withKey = alg === 'ES256' ? ({ key, dsaEncoding: 'ieee-p1363' } as const) : key
  return verify('sha256', Buffer.from(`${header}.${payload}`), withKey, Buffer.from(signature, 'base64url'))
}

function judgeSubject(checks: Checks, { sub, iss }: Claims, { trustDomain, issuer }: Anchors): void {
  const id = spiffeIdIn(sub)
  if (!id || id.path === '') checks.failed('subject', `${shown(sub)} is not the SPIFFE ID of a workload`)
  else checks.ok('subject', id.id)
  judgeTrustDomain(checks, id?.trustDomain, trustDomain)
  if (issuer === undefined) checks.skipped('issuer', `${shown(iss)}: a bundle does not say its issuer`)
  else if (iss === issuer) checks.ok('issuer', issuer)
  else checks.failed('issuer', `${shown(iss)}, and the server's is ${issuer}`)
}

export function spiffeIdIn(text: unknown): ReturnType<typeof parseSpiffeId> | undefined {
  try {
    return typeof text === 'string' ? parseSpiffeId(text) : undefined
  } catch {
    return undefined
  }
}

export function judgeTrustDomain(checks: Checks, found: string | undefined, wanted: string | undefined): void {
  if (found === undefined) checks.failed('trust domain', 'without a SPIFFE ID it is of none')
  else if (wanted === undefined) checks.skipped('trust domain', `${found}: the bundle names none; give --trust-domain`)
  else if (found === wanted) checks.ok('trust domain', found)
  else checks.failed('trust domain', `it is of ${found}, and this is ${wanted}`)
}

function judgeAudience(checks: Checks, { aud }: Claims, wanted: readonly string[]): void {
  const named: unknown[] = Array.isArray(aud) ? aud : [aud]
  if (named.length === 0 || !named.every((one): one is string => typeof one === 'string' && one !== '')) {
    checks.failed('audience', 'it is addressed to nobody')
  } else if (wanted.length === 0) {
    checks.skipped('audience', `for ${named.join(', ')}: give --audience to hold it against whoever takes it`)
  } else if (named.some((one) => wanted.includes(one))) checks.ok('audience', `for ${named.join(', ')}`)
  else checks.failed('audience', `for ${named.join(', ')}, and not for ${wanted.join(' or ')}`)
}

const timeIn = (value: unknown): Date | undefined =>
  Number.isSafeInteger(value) && Math.abs(Number(value)) < 8.64e12 ? new Date(Number(value) * 1000) : undefined

function judgeTimes(checks: Checks, { exp, iat, nbf }: Claims, now: Date): void {
  const [end, made, begin] = [timeIn(exp), timeIn(iat), timeIn(nbf)]
  const start = Math.max(made?.getTime() ?? 0, begin?.getTime() ?? 0)
  if (!end) checks.failed('times', `exp is ${shown(exp)}: without an end nobody may take it`)
  else if ((iat !== undefined && !made) || (nbf !== undefined && !begin)) checks.failed('times', 'iat or nbf is no time')
  else if (end <= now) checks.failed('times', `it ended at ${moment(end, now)}`)
  else if (start > now.getTime() + leewaySeconds * 1000) {
    checks.failed('times', `it begins at ${moment(new Date(start), now)}: is this machine's clock right?`)
  } else checks.ok('times', `until ${moment(end, now)}`)
}

function factsOf({ alg, kid }: Claims, claims: Claims): Record<string, unknown> {
  const { sub, aud, iss, jti, iat, exp, nbf: _, ...others } = claims
  const time = (value: unknown): string | undefined => timeIn(value)?.toISOString()
  const facts = { sub, aud, iss, jti, kid, alg, issuedAt: time(iat), expiresAt: time(exp), ...others }
  return Object.fromEntries(Object.entries(facts).filter(([, value]) => value !== undefined))
}
