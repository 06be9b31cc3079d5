import { readRevision } from '../../audit/find-entries.ts'
import type { Database } from '../../store/database.ts'
import { byName } from '../../store/registrations.ts'
import type { WorkloadRow } from '../../store/rows.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import { findByName, managedBy } from '../registrations.ts'
import { workloadState } from './state.ts'

/** A workload entry as it is now, or at an earlier revision from the log. @throws Refusal `not_found` */
export const getWorkload =
  ({ db }: { db: Pick<Database, 'knex'> }) =>
  async (
    { workloads }: Snapshot,
    name: string,
    revision?: number,
  ): Promise<{ id: string; state: object; revision: number }> => {
    const row = findByName(workloads, name)
    const { id } = row
    if (revision === undefined || revision === row.revision) {
      return { id, state: workloadState(row), revision: row.revision }
    }
    return { id, state: await readRevision(db.knex, 'workload', id, revision), revision }
  }

export function listWorkloads(
  { workloads, attestors }: Snapshot,
  filters: { attestor?: string; managedBy?: string },
): WorkloadRow[] {
  const { attestor } = filters
  const attestorId = attestor === undefined ? undefined : byName(attestors, attestor)?.id
  return managedBy(workloads.values(), filters.managedBy).filter(
    (row) => attestor === undefined || row.attestorId === attestorId,
  )
}
