/** Warnings about entries that are valid but probably not intended. The reply to a write has them. */
import { overlap, wildKeys } from '../names/selectors.ts'
import type { WorkloadEntry } from './entries.ts'
import type { AttestorRules } from './entry-rules.ts'
import type { WorkloadDefinition } from './grant.ts'
import { hasIdleOperatorGrant } from './operator-grant.ts'

export type Warning = { code: string; detail: string; workload?: string }

const maxOverlaps = 20

/**
 * @param others enabled entries of the same attestor, without this one: at least those that overlap it
 * @param attestor of the entry; absent once it is deleted
 */
export function warningsFor(
  definition: WorkloadDefinition,
  others: readonly WorkloadEntry[],
  attestor?: Pick<AttestorRules, 'wideForOperators'>,
): Warning[] {
  return [
    ...overlaps(definition, others),
    ...relyingParties(definition),
    ...shared(definition),
    ...operators(definition, attestor),
  ]
}

function overlaps({ match }: WorkloadDefinition, others: readonly WorkloadEntry[]): Warning[] {
  if (!match) return []
  const overlapping = others.filter((other) => overlap(match, other.match))
  const warnings: Warning[] = overlapping.slice(0, maxOverlaps).map(({ row }) => ({
    code: 'overlaps',
    detail: `the same instance can match ${row.name} too, and must then name the entry`,
    workload: row.name,
  }))
  const more = overlapping.length - warnings.length
  return more > 0 ? [...warnings, { code: 'overlaps', detail: `${more} more entries overlap` }] : warnings
}

/** Google accepts subjects of at most 127 bytes; Entra accepts 600 characters, and only RS256. */
const google = /^(?:https:)?\/\/iam\.googleapis\.com\//
const entra = /^api:\/\/AzureADTokenExchange/
const maxSubjectLength = { google: 127, entra: 600 } as const
/** The maximum of a name in Kubernetes, and the likely maximum of other facts. */
const likelyFactLength = 63

function relyingParties({ spiffeId, grants }: WorkloadDefinition): Warning[] {
  const audiences = (grants?.jwt?.audiences ?? []).map((audience) =>
    typeof audience === 'string' ? { audience: audience } : audience,
  )
  const length = (fact: number): number => spiffeId.replaceAll(/\{[^{}]*\}/g, 'x'.repeat(fact)).length
  const subjectWarnings = (provider: keyof typeof maxSubjectLength, name: string): Warning[] => {
    const max = maxSubjectLength[provider]
    const [min, likely] = [length(1), length(likelyFactLength)]
    if (likely <= max) return []
    const problem = min > max ? `is ${min} bytes long` : `can be longer than ${max} bytes`
    return [{ code: 'subject_too_long', detail: `the SPIFFE ID ${problem}, and ${name} accepts at most ${max}` }]
  }
  return [
    ...(audiences.some((audience) => google.test(audience.audience)) ? subjectWarnings('google', 'Google Cloud') : []),
    ...(audiences.some((audience) => entra.test(audience.audience)) ? subjectWarnings('entra', 'Microsoft Entra') : []),
    ...audiences
      .filter((audience) => entra.test(audience.audience) && !('alg' in audience && audience.alg === 'RS256'))
      .map(({ audience }) => ({
        code: 'needs_rs256',
        detail: `Microsoft Entra accepts only RS256: set "alg": "RS256" for ${audience}`,
      })),
  ]
}

/** Workloads that match a wide entry have SPIFFE IDs of their own, but share its literal grants. */
function shared({ match, grants }: WorkloadDefinition): Warning[] {
  if (wildKeys(match ?? {}).length === 0) return []
  const literal = [
    ...((grants?.x509?.dnsNames ?? []).length > 0 ? ['its DNS names'] : []),
    ...((grants?.databases ?? []).length > 0 ? ['its databases'] : []),
    ...(grants?.operator?.bound ? ["its operator's rights"] : []),
  ]
  return literal.map((what) => ({ code: 'shared', detail: `every workload that this wide entry matches gets ${what}` }))
}

function operators({ match, grants = {} }: WorkloadDefinition, attestor?: Pick<AttestorRules, 'wideForOperators'>) {
  if (hasIdleOperatorGrant(grants)) return [idleOperatorGrant]
  const detail = grants.operator ? attestor?.wideForOperators(match ?? {}) : undefined
  return detail === undefined ? [] : [{ code: 'operator_wide', detail }]
}

export const idleOperatorGrant: Warning = {
  code: 'no_effect',
  detail: 'grants.operator has no effect until it has a bound: add one, or remove the grant',
}
