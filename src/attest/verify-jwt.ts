/**
 * Verifies all JWT proofs. Issuer, audience, `exp`, `iat` and a maximum age are required parameters here: JWT libraries skip
 * the checks that a caller does not request.
 */
import { refuse } from '../errors.ts'
import { isSignedBy } from './jws-signature.ts'
import type { KeySet } from './key-set.ts'
import { type ProofText, addressOf } from './proof-text.ts'

export type VerifyRules = {
  issuer: string
  audience: string
  algorithms: readonly string[]
  /** Seconds between `iat` and now. */
  maxTokenAgeSeconds: number
  otherAudiences: 'allow' | 'refuse'
}

export type VerifiedClaims = ReturnType<typeof readClaims>

/** Clocks of issuers and servers differ. */
const skewSeconds = 60
/** The longest lifetime of a token, whatever `maxTokenAgeSeconds` allows: a token that lives a year is a stolen key. */
const maxLifetime = 7 * 24 * 3600
const maxSubjectLength = 1024
/** Subjects that no issuer uses, and that logs and policies may mistake for a pattern or a path upwards. */
const strangeSubject =
  /\*|(?:^|\/)\.{1,2}(?:\/|$)|[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/u

const bad = (claim: string): never => {
  throw refuse('proof_claims', { explanation: { claim } })
}

function seconds(claims: Record<string, unknown>, name: string): number {
  const value = claims[name]
  if (typeof value !== 'number' || !Number.isFinite(value) || value <= 0 || value > 1e11) return bad(name)
  return value
}

/**
 * Verifies the signature before the claims: an expired proof that is also forged is reported as forged (CVE-2024-51744).
 * @throws Refusal `proof_…` with the true reason, `unavailable` where the keys are unavailable
 */
export async function verifyJwt(
  proof: ProofText,
  keys: KeySet,
  rules: VerifyRules,
  now: Date,
): Promise<VerifiedClaims> {
  const { alg, kid } = checkHeader(proof, rules)
  const key = await keys.find(kid, alg)
  if (!key) throw refuse('proof_key_unknown')
  if (!isSignedBy(proof.token, key, alg)) throw refuse('proof_signature')
  return readClaims(proof, rules, now)
}

/**
 * Checks the claims against the rules. They are trustworthy only where the signature is verified, here or by the
 * orchestrator.
 * @throws Refusal `proof_…`
 */
export function readClaims(proof: ProofText, rules: VerifyRules, now: Date) {
  checkHeader(proof, rules)
  const { claims } = proof
  const at = now.getTime() / 1000
  const [exp, iat] = [seconds(claims, 'exp'), seconds(claims, 'iat')]
  const nbf = claims.nbf === undefined ? iat : seconds(claims, 'nbf')
  if (exp <= at) throw refuse('proof_expired')
  if (iat > at + skewSeconds || nbf > at + skewSeconds) throw refuse('proof_not_yet_valid')
  if (exp <= iat || exp - iat > maxLifetime) bad('exp')
  if (at - iat > rules.maxTokenAgeSeconds) throw refuse('proof_too_old')
  if (rules.otherAudiences === 'refuse' && addressOf(proof).audiences.length > 1) throw refuse('proof_audience')

  const { sub, jti } = claims
  if (typeof sub !== 'string' || sub === '' || Buffer.byteLength(sub) > maxSubjectLength) return bad('sub')
  if (strangeSubject.test(sub)) bad('sub')
  if (jti !== undefined && (typeof jti !== 'string' || jti === '' || jti.length > 256)) return bad('jti')
  return {
    claims,
    subject: sub,
    issuedAt: new Date(iat * 1000),
    expiresAt: new Date(exp * 1000),
    ...(jti !== undefined && { tokenId: jti }),
  }
}

/** Checks that cost no more than a comparison: the address and the algorithm. */
function checkHeader(proof: ProofText, rules: VerifyRules): { alg: string; kid: string | undefined } {
  if (!rules.issuer || !rules.audience || rules.algorithms.length === 0) throw new Error('a verifier without rules')
  const { issuer, audiences } = addressOf(proof)
  if (issuer !== rules.issuer || !audiences.includes(rules.audience)) throw refuse('proof_issuer')
  const { alg, kid } = proof.header
  if (typeof alg !== 'string' || !rules.algorithms.includes(alg)) throw refuse('proof_algorithm')
  if (kid !== undefined && typeof kid !== 'string') throw refuse('proof_header', { explanation: { header: 'kid' } })
  return { alg, kid }
}

/** @throws Refusal `proof_claims` where a single-use proof has no id */
export function singleUseOf({ tokenId, expiresAt }: VerifiedClaims): { id: string; until: Date } {
  if (tokenId === undefined) return bad('jti')
  return { id: tokenId, until: expiresAt }
}
