/** Checks the definition of an `oidc` attestor. A preset fills in its defaults. */
import { oidcDefaults } from './defaults.ts'
import { type AttestorSpec, type CheckedDefinition, type Report, checkAnchors, checkCommon } from './definition.ts'
import type { OidcDefinition } from './oidc.ts'
import { presets } from './presets.ts'

export function checkOidc(
  spec: AttestorSpec,
  { audiences }: { audiences: readonly string[] },
  ownIssuer: string,
  report: Report,
): CheckedDefinition {
  const preset = spec.preset && presets[spec.preset]
  const defaults = oidcDefaults(spec)
  const issuer = spec.issuer ?? defaults.issuer ?? ''
  checkCommon({ ...spec, issuer }, audiences, ownIssuer, report)
  if (spec.caPem !== undefined) checkAnchors('/caPem', spec.caPem, report)
  const issuerFault = preset?.refusesIssuer?.(issuer)
  if (issuerFault !== undefined) report('/issuer', issuerFault)
  if (preset && spec.algorithms?.some((alg) => !preset.algorithms.includes(alg)))
    report('/algorithms', `this issuer signs with ${preset.algorithms.join(' or ')}`)
  if (preset && spec.login) report('/login', 'is for an issuer without a preset: those of presets know no people')
  if (spec.login && !spec.login.scopes.includes('openid'))
    report('/login/scopes', 'must contain openid, without which an issuer sends no ID token')
  const definition: OidcDefinition = { ...defaults, ...spec, kind: 'oidc', issuer, audience: spec.audience ?? '' }
  const { name, kind, audience, spiffeIdPrefix } = definition
  return { name, kind, issuer, audience, spiffeIdPrefix, definition }
}
