/** Every check of a JWT-SVID that the SDK makes (SPIFFE JWT-SVID sections 2 and 3), each told. */
import {
  type Claims,
  type Compact,
  checkSignature,
  judgeClaims,
  readClaims,
  readCompact,
  readSpiffeId,
} from '@purser/sdk/checks'
import { PurserError } from '@purser/sdk/connection'
import type { Anchors } from './anchors.ts'
import { type Checks, createChecks, moment } from './checks.ts'
import { type Judged, judgeTrustDomain } from './judged.ts'

export function judgeJwt(token: string, anchors: Anchors, wanted: readonly string[], now: Date): Judged {
  const checks = createChecks()
  const compact = attempt(checks, 'form', () => readCompact(token))
  if (!compact) return { checks, facts: {} }
  checks.ok('form', `three segments, ${token.length} bytes; alg, kid and typ in the header, and no other`)
  judgeSignature(checks, compact, anchors)
  const raw = objectIn(compact.payload)
  const id = readSpiffeId(String(raw.sub))
  judgeTrustDomain(checks, id?.trustDomain, anchors.trustDomain)
  // That it is of another one is said above, and no reason not to look at the rest.
  const claims = attempt(checks, 'claims', () => readClaims(compact.payload, id?.trustDomain ?? ''))
  if (claims) judgeContent(checks, claims, anchors, wanted, now)
  return { checks, facts: factsOf(compact, raw) }
}

/** What the SDK refuses a token for, without the words that are its alone. */
function attempt<T>(checks: Checks, check: string, work: () => T): T | undefined {
  try {
    return work()
  } catch (error) {
    if (!(error instanceof PurserError) || error.code !== 'bad_token') throw error
    const [, what, why] = /^the token is refused \((\w+)\): (.*)$/s.exec(error.message) ?? []
    checks.failed(check, what === undefined || why === undefined ? error.message : `${what}: ${why}`)
    return undefined
  }
}

function judgeSignature(checks: Checks, compact: Compact, { jwtKeys, from }: Anchors): void {
  const { kid } = compact
  const key = jwtKeys?.get(kid)
  if (!jwtKeys) checks.failed('key', `${from} holds roots alone; give a SPIFFE bundle, as GET /bundle answers`)
  else if (!key) {
    const names = [...jwtKeys.keys()].join(', ') || 'none'
    const why = "Another trust domain's, or rotated out since"
    checks.failed('key', `no key of the bundle is named ${kid.slice(0, 200)}: there are ${names}. ${why}`)
  } else {
    checks.ok('key', `${kid} is in the bundle`)
    const isSigned = attempt(checks, 'signature', () => {
      checkSignature(compact, key)
      return true
    })
    if (isSigned) checks.ok('signature', `that key signed it, with ${key.alg}`)
  }
}

function judgeContent(checks: Checks, claims: Claims, { issuer }: Anchors, wanted: readonly string[], now: Date): void {
  const { spiffeId, audience, exp, all } = claims
  checks.ok('claims', `complete, of ${spiffeId}`)
  const iss = String(all.iss).slice(0, 200)
  if (issuer === undefined) checks.skipped('issuer', `${iss}: a bundle does not say whose it is`)
  else if (all.iss === issuer) checks.ok('issuer', issuer)
  else checks.failed('issuer', `${iss}, and the server is ${issuer}`)
  const named = audience.join(', ')
  if (wanted.length === 0) {
    checks.skipped('audience', `for ${named}: --audience holds it against the name of whoever takes it`)
  } else if (audience.some((one) => wanted.includes(one))) checks.ok('audience', `for ${named}`)
  else checks.failed('audience', `for ${named}, and not for ${wanted.join(' or ')}`)
  const isNow = attempt(checks, 'times', () => {
    judgeClaims(claims, audience, now.getTime())
    return true
  })
  if (isNow) checks.ok('times', `until ${moment(new Date(exp * 1000), now)}`)
}

function objectIn(payload: Buffer): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(payload.toString('utf8'))
    return typeof value === 'object' && value !== null ? { ...value } : {}
  } catch {
    return {}
  }
}

function factsOf({ alg, kid }: Compact, claims: Record<string, unknown>): Record<string, unknown> {
  const { sub, aud, iss, jti, iat, exp, nbf: _, ...others } = claims
  const time = (at: unknown): unknown =>
    Number.isSafeInteger(at) && Math.abs(Number(at)) < 8.64e12 ? new Date(Number(at) * 1000).toISOString() : at
  const facts = { sub, aud, iss, jti, kid, alg, issuedAt: time(iat), expiresAt: time(exp), ...others }
  return Object.fromEntries(Object.entries(facts).filter(([, value]) => value !== undefined))
}
