/** Any OIDC issuer: claims become facts (`oidc:sub`, `oidc:<claim>`). Presets add short names and rules. */
import { refuse } from '../errors.ts'
import { NameError } from '../names/errors.ts'
import { createSelectors, isSelectorKey, isSelectorValue } from '../names/selectors.ts'
import type { AttestorRow } from '../store/rows.ts'
import type { Attestor, AttestorParts, CommonDefinition, LoginDefinition } from './attestor.ts'
import { openKeys } from './issuer-keys.ts'
import { algorithms } from './key-set.ts'
import { type PresetName, presets } from './presets.ts'
import { type VerifyRules, singleUseOf, verifyJwt } from './verify-jwt.ts'

export type OidcDefinition = CommonDefinition & {
  kind: 'oidc'
  preset?: PresetName
  caPem?: string
  login?: LoginDefinition
}

/** Stored definitions passed checkOidc. */
export const isOidc = (value: Record<string, unknown>): value is OidcDefinition => value.kind === 'oidc'

function definitionOf({ name, definition }: AttestorRow): OidcDefinition {
  if (isOidc(definition)) return definition
  throw new Error(`attestor ${name} is not of kind oidc`)
}

/** Claims that do not identify the caller (RFC 7519 section 4.1). */
const registered = new Set(['iss', 'aud', 'exp', 'iat', 'nbf', 'jti'])
const maxValues = 256

/**
 * Claims that are strings, booleans or arrays of strings. Others are left out, and those that no entry could name or that
 * contain unprintable text: a fact that is missing matches nothing.
 */
function* claimFacts(claims: Record<string, unknown>): Generator<[string, string | string[]]> {
  for (const [name, value] of Object.entries(claims)) {
    const key = `oidc:${name}`
    if (registered.has(name) || !isSelectorKey(key)) continue
    if (typeof value === 'string' || typeof value === 'boolean') {
      if (isSelectorValue(String(value))) yield [key, String(value)]
    } else if (Array.isArray(value) && value.length <= maxValues && value.every(isFact)) yield [key, value]
  }
}

const isFact = (value: unknown): value is string => typeof value === 'string' && isSelectorValue(value)

/** Any claim of the issuer, and the short names of its preset. */
export function oidcReports(key: string, { definition }: Pick<AttestorRow, 'definition'>): boolean {
  const preset = isOidc(definition) && definition.preset ? presets[definition.preset] : undefined
  return key.startsWith('oidc:') || (preset !== undefined && key.startsWith(preset.prefix))
}

export function createOidcAttestor(row: AttestorRow, parts: AttestorParts): Attestor {
  const definition = definitionOf(row)
  const preset = definition.preset && presets[definition.preset]
  const { issuer, caPem } = definition
  const keys = openKeys(row.name, {
    ...parts,
    definition: definition.keys,
    issuer,
    allowedAlgorithms: definition.algorithms,
    places: publicPlace(issuer, caPem),
  })
  const rules: VerifyRules = {
    ...definition,
    algorithms: definition.algorithms ?? preset?.algorithms ?? algorithms,
  }

  return {
    row,
    async attest(proof, now) {
      const verified = await verifyJwt(proof, keys, rules, now)
      const { claims, subject, tokenId, issuedAt } = verified
      const presetFacts = preset?.read(claims)
      try {
        return {
          attestor: row,
          selectors: createSelectors([...claimFacts(claims), ...(presetFacts?.facts ?? [])]),
          instance: presetFacts?.instance ?? [subject, tokenId ?? String(issuedAt.getTime())],
          expiresAt: verified.expiresAt,
          ...(definition.singleUse && { singleUse: singleUseOf(verified) }),
        }
      } catch (error) {
        if (error instanceof NameError) throw refuse('proof_claims', { explanation: { detail: error.detail } })
        throw error
      }
    },
    check: () => keys.check(),
  }
}

/** An issuer is a public address unless PURSER_FETCH_ALLOW lists it. Its roots may still be an operator's. */
function publicPlace(issuer: string, caPem: string | undefined) {
  if (caPem === undefined) return []
  return [{ origin: new URL(issuer).origin, options: async () => ({ configured: false, caPem }) }]
}
