/** An `oidc` attestor as an operator writes it, and as it is kept: a preset fills in what it knows. */
import { type AttestorSpec, type CheckedDefinition, type Report, checkAnchors, checkCommon } from './definition.ts'
import type { OidcDefinition } from './oidc.ts'
import { presets } from './presets.ts'

/** Seconds. Tokens of CI systems live for minutes, those of clouds for an hour. */
const usualAge = 3600

export function checkOidc(
  spec: AttestorSpec,
  { audiences }: { audiences: readonly string[] },
  ownIssuer: string,
  report: Report,
): CheckedDefinition {
  const preset = spec.preset && presets[spec.preset]
  const issuer = spec.issuer ?? preset?.issuer ?? ''
  checkCommon({ ...spec, issuer }, audiences, ownIssuer, report)
  if (spec.caPem !== undefined) checkAnchors('/caPem', spec.caPem, report)
  const refused = preset?.refusesIssuer?.(issuer)
  if (refused !== undefined) report('/issuer', refused)
  if (preset && spec.algorithms?.some((alg) => !preset.algorithms.includes(alg)))
    report('/algorithms', `this issuer signs with ${preset.algorithms.join(' or ')}`)
  const definition: OidcDefinition = {
    ...spec,
    kind: 'oidc',
    issuer,
    audience: spec.audience ?? '',
    spiffeIdPrefix: spec.spiffeIdPrefix ?? `/${spec.name}/`,
    keys: spec.keys ?? preset?.keys ?? { discovery: true },
    maxTokenAgeSeconds: spec.maxTokenAgeSeconds ?? usualAge,
    singleUse: spec.singleUse ?? preset?.singleUse ?? false,
    otherAudiences: spec.otherAudiences ?? 'refuse',
  }
  const { name, kind, audience, spiffeIdPrefix } = definition
  return { name, kind, issuer, audience, spiffeIdPrefix, definition }
}
