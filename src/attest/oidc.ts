/** Any OIDC issuer: its token's claims become facts (`oidc:sub`, `oidc:<claim>`). Presets add short names and rules. */
import { refuse } from '../errors.ts'
import { NameError } from '../names/errors.ts'
import { createSelectors } from '../names/selectors.ts'
import type { AttestorRow } from '../store/rows.ts'
import type { Attestor } from './attestor.ts'
import { createKeySet } from './key-set.ts'
import { readProofText } from './proof-text.ts'
import { type VerifiedClaims, type VerifyRules, verifyJwt } from './verify-jwt.ts'

export type OidcDefinition = {
  issuer: string
  audience: string
  keys: { jwks: { keys: unknown[] } }
  algorithms?: string[]
  maxTokenAgeSeconds?: number
  singleUse?: boolean
  otherAudiences?: 'allow' | 'refuse'
}

const registered = new Set(['iss', 'aud', 'exp', 'iat', 'nbf', 'jti'])

/** Claims that are strings, booleans or arrays of strings; others say nothing that an entry could match. */
export function* claimFacts(claims: Record<string, unknown>): Generator<[string, string | string[]]> {
  for (const [name, value] of Object.entries(claims)) {
    if (registered.has(name)) continue
    if (typeof value === 'string' || typeof value === 'boolean') yield [`oidc:${name}`, String(value)]
    else if (Array.isArray(value) && value.every((one) => typeof one === 'string')) yield [`oidc:${name}`, value]
  }
}

export function createOidcAttestor(row: AttestorRow): Attestor {
  const definition = row.definition as OidcDefinition
  const keys = createKeySet(definition.keys.jwks.keys)
  const rules: VerifyRules = {
    issuer: definition.issuer,
    audience: definition.audience,
    algorithms: definition.algorithms ?? ['RS256', 'ES256', 'ES384', 'PS256'],
    maxTokenAgeSeconds: definition.maxTokenAgeSeconds ?? 3600,
    otherAudiences: definition.otherAudiences ?? 'refuse',
  }

  const once = ({ tokenId, expiresAt }: VerifiedClaims): { id: string; until: Date } => {
    if (tokenId === undefined) throw refuse('proof_claims', { explanation: { claim: 'jti' } })
    return { id: tokenId, until: expiresAt }
  }

  return {
    row,
    async attest(token, now) {
      const verified = await verifyJwt(readProofText(token), keys, rules, now)
      try {
        return {
          attestor: row,
          selectors: createSelectors(claimFacts(verified.claims)),
          instance: [verified.subject, verified.tokenId ?? String(verified.issuedAt.getTime())],
          expiresAt: verified.expiresAt,
          ...(definition.singleUse && { once: once(verified) }),
        }
      } catch (error) {
        if (error instanceof NameError) throw refuse('proof_claims', { explanation: { detail: error.detail } })
        throw error
      }
    },
    check: async () => [{ ok: true, what: 'keys are inline' }],
  }
}
