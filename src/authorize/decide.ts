/** Verified facts → one entry and what it grants. Pure: the same facts and snapshot give the same answer. */
import { refuse } from '../errors.ts'
import type { Bound } from '../names/bound.ts'
import { NameError } from '../names/errors.ts'
import type { Selectors } from '../names/selectors.ts'
import { isReservedPath, parseSpiffeId, pathUnder } from '../names/spiffe-id.ts'
import { render } from '../names/template.ts'
import type { AttestorRow } from '../store/rows.ts'
import type { Snapshot } from '../store/snapshot.ts'
import { isGrantWithin } from './check-bound.ts'
import { type WorkloadEntry, matchingEntries } from './entries.ts'
import type { Grant } from './grant.ts'
import { secretGrantsOf } from './secret-grants.ts'

/** The verified facts about a caller. */
export type Facts = {
  attestor: AttestorRow
  selectors: Selectors
  podBound?: boolean
  /** Set if the proof itself belongs to one entry (a join token). */
  workloadId?: string
}

export type Decision = { entry: WorkloadEntry; grant: Grant }

/**
 * @param workload the entry that the caller names, in case several match
 * @throws Refusal; `several_workloads` lists the entries, which the caller may know because it matches all of them
 */
export function decide(
  snapshot: Pick<Snapshot, 'workloads' | 'trustDomain'>,
  facts: Facts,
  workload?: string,
): Decision {
  const candidates = matchingEntries(snapshot.workloads, facts)
  const matches = workload === undefined ? candidates : candidates.filter((entry) => entry.row.name === workload)
  const enabled = matches.filter((entry) => !entry.row.disabled)
  const [entry] = enabled
  if (!entry) throw refuse(matches.length > 0 ? 'workload_disabled' : 'no_workload')
  if (enabled.length > 1) {
    const workloads = enabled.map((entry) => entry.row.name)
    throw refuse('several_workloads', { detail: `matching: ${workloads.join(', ')}`, members: { workloads } })
  }
  if (facts.podBound === false && entry.requirePodBound) throw refuse('proof_not_pod_bound')
  return { entry, grant: grantOf(entry, facts, snapshot.trustDomain) }
}

/** Renders the templates, and checks the rendered SPIFFE ID, not its inputs, against the attestor's prefix. */
export function grantOf(entry: WorkloadEntry, facts: Facts, trustDomain: string): Grant {
  try {
    const spiffeId = render(entry.spiffeId, facts.selectors)
    checkSpiffeId(spiffeId, facts.attestor.spiffeIdPrefix, trustDomain)
    const grant: Grant = {
      spiffeId,
      ...entry.fixed,
      ...(entry.jwt && {
        jwt: {
          maxLifetimeSeconds: entry.jwt.maxLifetimeSeconds,
          audiences: entry.jwt.audiences.map((audience) => ({
            audience: audience.audience,
            alg: audience.alg,
            claims: Object.fromEntries(
              Object.entries(audience.claims).map(([name, template]) => [name, render(template, facts.selectors)]),
            ),
          })),
        },
      }),
      secrets: secretGrantsOf(entry.secrets, facts.selectors),
    }
    checkBound(grant, entry.row.bound)
    return grant
  } catch (error) {
    if (!(error instanceof NameError)) throw error
    throw refuse('template_value', { explanation: { rule: error.code, ...(error.key && { key: error.key }) } })
  }
}

/** @throws Refusal `template_value` for a grant beyond the bound of the operator who wrote the entry */
function checkBound(grant: Grant, bound: Bound | undefined): void {
  if (!bound || isGrantWithin(grant, bound)) return
  throw refuse('template_value', { explanation: { rule: 'outside the bound of the operator who wrote the entry' } })
}

/** @throws Refusal `template_value` for an ID outside the attestor's prefix or in Purser's own subtree */
function checkSpiffeId(spiffeId: string, prefix: string, trustDomain: string): void {
  const id = parseSpiffeId(spiffeId)
  if (id.trustDomain !== trustDomain || !pathUnder(prefix, id.path) || isReservedPath(id.path)) {
    throw refuse('template_value', { explanation: { rule: 'outside the attestor’s prefix' } })
  }
}
