import type { Selectors } from '../names/selectors.ts'
import type { Snapshot } from '../store/snapshot.ts'
import { type Decision, grantOf } from './decide.ts'
import { entryOf } from './entries.ts'

/**
 * The grant of a session by the current workload entry, which may have changed since the session attested. Undefined if the
 * entry was deleted or disabled, or its attestor was deleted.
 * @throws Refusal `template_value` if a template of the entry no longer fits the session's facts
 */
export function sessionGrant(
  { workloads, attestors, trustDomain }: Pick<Snapshot, 'workloads' | 'attestors' | 'trustDomain'>,
  session: { workloadId: string; attestorId: string; selectors: Selectors },
): Decision | undefined {
  const row = workloads.get(session.workloadId)
  const attestor = attestors.get(session.attestorId)
  if (!row || row.disabled || !attestor) return undefined
  const entry = entryOf(row)
  return { entry, grant: grantOf(entry, { attestor, selectors: session.selectors }, trustDomain) }
}
