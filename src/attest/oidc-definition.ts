/** Checks the definition of an `oidc` attestor. A preset fills in its defaults. */
import { type AttestorSpec, type CheckedDefinition, type Report, checkAnchors, checkCommon } from './definition.ts'
import type { OidcDefinition } from './oidc.ts'
import { presets } from './presets.ts'

/** CI tokens live for minutes, those of clouds for an hour. */
const defaultMaxAge = 3600

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
  const issuerFault = preset?.refusesIssuer?.(issuer)
  if (issuerFault !== undefined) report('/issuer', issuerFault)
  if (preset && spec.algorithms?.some((alg) => !preset.algorithms.includes(alg)))
    report('/algorithms', `this issuer signs with ${preset.algorithms.join(' or ')}`)
  const definition: OidcDefinition = {
    ...spec,
    kind: 'oidc',
    issuer,
    audience: spec.audience ?? '',
    spiffeIdPrefix: spec.spiffeIdPrefix ?? `/${spec.name}/`,
    keys: spec.keys ?? preset?.keys ?? { discovery: true },
    maxTokenAgeSeconds: spec.maxTokenAgeSeconds ?? defaultMaxAge,
    singleUse: spec.singleUse ?? preset?.singleUse ?? false,
    otherAudiences: spec.otherAudiences ?? 'refuse',
  }
  const { name, kind, audience, spiffeIdPrefix } = definition
  return { name, kind, issuer, audience, spiffeIdPrefix, definition }
}
