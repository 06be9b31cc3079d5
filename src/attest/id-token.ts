/** Verifies the ID tokens of one client at one OpenID provider (OpenID Connect Core 1.0 section 3.1.3.7). */
import { refuse } from '../errors.ts'
import type { AttestorParts } from './attestor.ts'
import { openKeys } from './issuer-keys.ts'
import { originOf } from './key-source.ts'
import { algorithms } from './key-set.ts'
import type { ProofText } from './proof-text.ts'
import { type VerifiedClaims, type VerifyRules, verifyJwt } from './verify-jwt.ts'

type Client = { issuer: string; clientId: string; caPem?: string }

export type VerifyIdToken = (proof: ProofText, now: Date) => Promise<VerifiedClaims>

/** A login takes a person some minutes. */
const maxAgeSeconds = 900

export function createVerifyIdToken({ issuer, clientId, caPem }: Client, parts: AttestorParts): VerifyIdToken {
  const trust = { configured: false, ...(caPem !== undefined && { caPem }) }
  const keys = openKeys('the login of operators', {
    ...parts,
    definition: { discovery: true },
    issuer,
    allowedAlgorithms: undefined,
    places: [{ origin: originOf(issuer) ?? '', options: async () => trust }],
  })
  const rules: VerifyRules = {
    issuer,
    audience: clientId,
    algorithms,
    maxTokenAgeSeconds: maxAgeSeconds,
    otherAudiences: 'refuse',
  }
  return async (proof, now) => {
    const verified = await verifyJwt(proof, keys, rules, now)
    const { azp } = verified.claims
    if (azp !== undefined && azp !== clientId) throw refuse('proof_claims', { explanation: { claim: 'azp' } })
    return verified
  }
}
