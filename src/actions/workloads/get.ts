import { setImmediate as nextTurn } from 'node:timers/promises'
import { readRevision } from '../../audit/find-entries.ts'
import { boundOf } from '../../authorize/caller.ts'
import { refuse } from '../../errors.ts'
import { hasSpiffeId } from '../../names/bound.ts'
import type { Database } from '../../store/database.ts'
import { byName } from '../../store/registrations.ts'
import type { WorkloadRow } from '../../store/rows.ts'
import { type Snapshot, wholeOf } from '../../store/snapshot.ts'
import type { Context } from '../context.ts'
import { findByName } from '../registrations.ts'
import { workloadState } from './state.ts'

/** A workload entry as it is now, or at an earlier revision from the log. @throws Refusal `not_found` */
export const getWorkload =
  ({ db }: { db: Pick<Database, 'knex'> }) =>
  async (
    { caller }: Pick<Context, 'caller'>,
    { workloads }: Snapshot,
    name: string,
    revision?: number,
  ): Promise<{ id: string; state: object; revision: number }> => {
    const row = findByName(workloads, name)
    const { id } = row
    if (revision === undefined || revision === row.revision) {
      return { id, state: workloadState(row), revision: row.revision }
    }
    const state = await readRevision(db.knex, 'workload', id, revision)
    // It may have been written when the entry belonged to others.
    const isVisible = 'spiffeId' in state && hasSpiffeId(boundOf(caller), String(state.spiffeId))
    if (!isVisible) throw refuse('not_found')
    return { id, state, revision }
  }

/** Lists entries in the order of their names. @returns the next `max` after a name */
export function listWorkloads(
  snapshot: Snapshot,
  { attestor, managedBy }: { attestor?: string; managedBy?: string },
): (after: string | undefined, max: number) => Promise<WorkloadRow[]> {
  const { workloads, attestors } = snapshot
  const attestorId = attestor === undefined ? undefined : (byName(attestors, attestor)?.id ?? '')
  const isListed = ({ attestorId: id, definition }: WorkloadRow): boolean =>
    (attestorId === undefined || id === attestorId) && (managedBy === undefined || definition.managedBy === managedBy)
  return async (after, max) => {
    const rows: WorkloadRow[] = []
    let visited = 0
    // Entries that the caller may not know take time, too.
    for (const row of wholeOf(snapshot).workloads.inOrder(after)) {
      if (isListed(row) && workloads.get(row.id)) rows.push(row)
      if (rows.length === max) break
      if (++visited % maxWithoutTurn === 0) await nextTurn()
    }
    return rows
  }
}

/** Entries visited before other work gets a turn of the event loop. */
const maxWithoutTurn = 1_000
