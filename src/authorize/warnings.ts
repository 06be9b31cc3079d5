/** What works but is probably not meant: told when an entry is written, never a reason to refuse it. */
import type { Match } from '../names/selectors.ts'
import { wildKeys } from '../names/selectors.ts'
import type { WorkloadEntry } from './entries.ts'
import type { WorkloadDefinition } from './grant.ts'

export type Warning = { code: string; detail: string; workload?: string }

const maxOverlaps = 20

/**
 * Whether one set of facts could satisfy both, each fact having one value. A fact with several values (an array claim)
 * can satisfy more; such a caller gets 409 `several_workloads` and names the entry.
 */
export function overlap(a: Match, b: Match): boolean {
  return Object.entries(a).every(([key, wanted]) => {
    const other = Object.hasOwn(b, key) ? b[key] : undefined
    if (other === undefined || wanted === '*' || other === '*') return true
    const values = [other].flat()
    return [wanted].flat().some((value) => values.includes(value))
  })
}

/** @param others the enabled entries of the same attestor, without this one */
export function warningsFor(definition: WorkloadDefinition, others: readonly WorkloadEntry[]): Warning[] {
  return [...overlaps(definition, others), ...relyingParties(definition), ...shared(definition), ...later(definition)]
}

function overlaps({ match }: WorkloadDefinition, others: readonly WorkloadEntry[]): Warning[] {
  if (!match) return []
  const found = others.filter((other) => overlap(match, other.match))
  const warnings: Warning[] = found.slice(0, maxOverlaps).map(({ row }) => ({
    code: 'overlaps',
    detail: `the same instance can match ${row.name} too, and must then name the entry that it wants`,
    workload: row.name,
  }))
  const more = found.length - warnings.length
  return more > 0 ? [...warnings, { code: 'overlaps', detail: `and ${more} more entries` }] : warnings
}

/** Google maps a subject of at most 127 bytes; Entra takes 600 characters and RS256 alone. */
const google = /^(?:https:)?\/\/iam\.googleapis\.com\//
const entra = /^api:\/\/AzureADTokenExchange/
const maxSubjectLength = { google: 127, entra: 600 } as const
/** A name in Kubernetes, and most others' plain segments. */
const usualFact = 63

function relyingParties({ spiffeId, grants }: WorkloadDefinition): Warning[] {
  const audiences = (grants?.jwt?.audiences ?? []).map((audience) =>
    typeof audience === 'string' ? { audience: audience } : audience,
  )
  const length = (fact: number): number => spiffeId.replaceAll(/\{[^{}]*\}/g, 'x'.repeat(fact)).length
  const subject = (who: keyof typeof maxSubjectLength, name: string): Warning[] => {
    const max = maxSubjectLength[who]
    const [min, likely] = [length(1), length(usualFact)]
    if (likely <= max) return []
    const says = min > max ? `is ${min} bytes long` : `can be longer than ${max} bytes`
    return [{ code: 'subject_too_long', detail: `the SPIFFE ID ${says}, and ${name} takes a subject of ${max}` }]
  }
  return [
    ...(audiences.some((audience) => google.test(audience.audience)) ? subject('google', 'Google Cloud') : []),
    ...(audiences.some((audience) => entra.test(audience.audience)) ? subject('entra', 'Microsoft Entra') : []),
    ...audiences
      .filter((audience) => entra.test(audience.audience) && !('alg' in audience && audience.alg === 'RS256'))
      .map(({ audience }) => ({
        code: 'needs_rs256',
        detail: `Microsoft Entra verifies RS256 alone: give ${audience} "alg": "RS256"`,
      })),
  ]
}

/** In a wide entry each matching workload has its own SPIFFE ID, but whatever is literal belongs to all of them. */
function shared({ match, grants }: WorkloadDefinition): Warning[] {
  if (wildKeys(match ?? {}).length === 0) return []
  const literal = [
    ...((grants?.x509?.dnsNames ?? []).length > 0 ? ['its DNS names'] : []),
    ...((grants?.databases ?? []).length > 0 ? ['its databases'] : []),
    ...(grants?.operator ? ['its operator role'] : []),
  ]
  return literal.map((what) => ({ code: 'shared', detail: `every workload that this wide entry matches gets ${what}` }))
}

function later({ grants }: WorkloadDefinition): Warning[] {
  const unserved = (['operator'] as const).filter((kind) => grants?.[kind] !== undefined)
  return unserved.map((kind) => ({
    code: 'not_served_yet',
    detail: `grants.${kind} is kept, and this server does not serve it yet`,
  }))
}
