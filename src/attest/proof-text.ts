/** Parses a compact JWS with strict JSON, before any key is looked up. Every check uses the result. */
import { isMembers } from '../json/members.ts'
import { JsonError, parseStrict } from '../json/strict.ts'
import { refuse } from '../errors.ts'

export type ProofText = {
  token: string
  header: Record<string, unknown>
  claims: Record<string, unknown>
}

/** Real issuers stay below 4 KiB (Kubernetes 1.5, GitHub 2, GitLab 3). */
const max = 16_384
const compact = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/
/** Headers that name another key or change what is signed (RFC 7515 4.1, RFC 7797). `x5t` is common and ignored. */
const refusedHeaders = ['crit', 'jku', 'jwk', 'x5u', 'x5c', 'b64', 'zip'] as const

function segment(text: string): Record<string, unknown> {
  const bytes = Buffer.from(text, 'base64url')
  // Several texts decode to the same bytes (RFC 4648 section 3.5). Only the canonical one is accepted.
  if (bytes.toString('base64url') !== text) throw refuse('proof_malformed')
  let value: unknown
  try {
    value = parseStrict(bytes, { maxDepth: 16 })
  } catch (error) {
    if (error instanceof JsonError) throw refuse('proof_malformed', { explanation: { json: error.code } })
    throw error
  }
  if (!isMembers(value)) throw refuse('proof_malformed')
  return value
}

/** @throws Refusal `proof_too_large`, `proof_malformed`, `proof_header` */
export function readProofText(token: string): ProofText {
  if (token.length > max) throw refuse('proof_too_large')
  if (!compact.test(token)) throw refuse('proof_malformed')
  const [head = '', body = '', signature = ''] = token.split('.')
  const header = segment(head)
  if (Buffer.from(signature, 'base64url').toString('base64url') !== signature) throw refuse('proof_malformed')
  const refused = refusedHeaders.find((name) => Object.hasOwn(header, name))
  if (refused) throw refuse('proof_header', { explanation: { header: refused } })
  return { token, header, claims: segment(body) }
}

/** The issuer and audiences that a proof claims. They choose the attestor, which then verifies them. */
export function addressOf(proof: ProofText): { issuer: string; audiences: string[] } {
  const { iss, aud } = proof.claims
  const audiences = typeof aud === 'string' ? [aud] : aud
  if (typeof iss !== 'string' || iss === '') throw refuse('proof_claims', { explanation: { claim: 'iss' } })
  if (!Array.isArray(audiences) || audiences.length === 0 || audiences.length > 32) {
    throw refuse('proof_claims', { explanation: { claim: 'aud' } })
  }
  if (!audiences.every((audience): audience is string => typeof audience === 'string' && audience !== '')) {
    throw refuse('proof_claims', { explanation: { claim: 'aud' } })
  }
  return { issuer: iss, audiences }
}
