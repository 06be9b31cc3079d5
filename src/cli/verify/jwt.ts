/** The checks of a JWT-SVID (SPIFFE JWT-SVID sections 2 and 3), as the SDK makes them. */
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
import { type Checks, type Judged, createChecks, judgeTrustDomain, moment } from './checks.ts'

export function judgeJwt(token: string, anchors: Anchors, audiences: readonly string[], now: Date): Judged {
  const checks = createChecks()
  const compact = attempt(checks, 'form', () => readCompact(token))
  if (!compact) return { checks, facts: {} }
  checks.ok('form', `three segments, ${token.length} bytes; the header has alg, kid and typ only`)
  judgeSignature(checks, compact, anchors)
  const raw = objectIn(compact.payload)
  const id = readSpiffeId(String(raw.sub))
  judgeTrustDomain(checks, id?.trustDomain, anchors.trustDomain)
  // A wrong trust domain is reported above; the other checks go on.
  const claims = attempt(checks, 'claims', () => readClaims(compact.payload, id?.trustDomain ?? ''))
  if (claims) judgeContent(checks, claims, anchors, audiences, now)
  return { checks, facts: factsOf(compact, raw) }
}

/** Runs a check of the SDK, and reports its refusal without the SDK's prefix. */
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
  if (!jwtKeys) checks.failed('key', `${from} holds only roots: give a SPIFFE bundle, as from GET /bundle`)
  else if (!key) {
    const names = [...jwtKeys.keys()].join(', ') || 'none'
    const why = 'it belongs to another trust domain, or was rotated'
    checks.failed('key', `the bundle has no key ${kid.slice(0, 200)} (${why}); it has ${names}`)
  } else {
    checks.ok('key', `${kid} is in the bundle`)
    const isSigned = attempt(checks, 'signature', () => {
      checkSignature(compact, key)
      return true
    })
    if (isSigned) checks.ok('signature', `valid, ${key.alg}`)
  }
}

function judgeContent(
  checks: Checks,
  claims: Claims,
  { issuer }: Anchors,
  audiences: readonly string[],
  now: Date,
): void {
  const { spiffeId, audience, exp, all } = claims
  checks.ok('claims', `complete, for ${spiffeId}`)
  const iss = String(all.iss).slice(0, 200)
  if (issuer === undefined) checks.skipped('issuer', `${iss}: a bundle does not name its issuer`)
  else if (all.iss === issuer) checks.ok('issuer', issuer)
  else checks.failed('issuer', `${iss}, not ${issuer}, which is the server`)
  const names = audience.join(', ')
  if (audiences.length === 0) {
    checks.skipped('audience', `${names}: give --audience to check it`)
  } else if (audience.some((name) => audiences.includes(name))) checks.ok('audience', names)
  else checks.failed('audience', `${names}, not ${audiences.join(' or ')}`)
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
