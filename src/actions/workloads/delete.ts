import type { Change } from '../../audit/record.ts'
import type { Knex } from '../../store/database.ts'
import { removeRegistration } from '../../store/registrations.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import type { Context } from '../context.ts'
import { findAtRevision, removed } from '../registrations.ts'

export async function deleteWorkload(
  { time }: Pick<Context, 'time'>,
  tx: Knex.Transaction,
  { workloads }: Snapshot,
  { name, expected }: { name: string; expected: number },
): Promise<Change<undefined>> {
  const row = findAtRevision(workloads, name, expected)
  await removeRegistration(tx, 'workload', row.id, time)
  return removed('workload', row)
}
