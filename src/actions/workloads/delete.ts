import { removeRegistration } from '../../store/registrations.ts'
import type { ChangeAction } from '../context.ts'
import { type NamedRevision, findAtRevision, removed } from '../registrations.ts'

export const deleteWorkload: ChangeAction<NamedRevision> = async ({ time }, tx, { workloads }, target) => {
  const row = findAtRevision(workloads, target)
  await removeRegistration(tx, 'workload', row.id, time)
  return removed('workload', row)
}
