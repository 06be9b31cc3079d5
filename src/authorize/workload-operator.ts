/** A workload whose entry grants it to act as an operator. Its session acts so on the routes of operators alone. */
import type { Snapshot } from '../store/snapshot.ts'
import type { WorkloadOperator } from './caller.ts'
import { sessionGrant } from './session-grant.ts'

type Session = Pick<WorkloadOperator, 'session' | 'credential' | 'until'>

/**
 * By what the entry grants now. Undefined without such a grant.
 * @throws Refusal `template_value` like `sessionGrant`
 */
export function workloadOperator(
  snapshot: Pick<Snapshot, 'workloads' | 'attestors' | 'trustDomain'>,
  { session, credential, until }: Session,
): WorkloadOperator | undefined {
  const decision = sessionGrant(snapshot, session)
  if (!decision?.grant.operator) return undefined
  const { role, bound, routes } = decision.grant.operator
  return {
    kind: 'operator',
    role,
    operatorRole: role,
    ...(routes && { routes }),
    ...(bound && { bound }),
    session,
    credential,
    until,
    entryRevision: decision.entry.row.revision,
  }
}
