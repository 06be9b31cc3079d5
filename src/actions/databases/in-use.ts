/** What may not happen to a database that is in use. */
import { entryOf } from '../../authorize/entries.ts'
import { refuse } from '../../errors.ts'
import type { Knex } from '../../store/database.ts'
import { lockDatabase } from '../../store/databases.ts'
import { hasOpenLeases } from '../../store/leases.ts'
import { rotatesIn } from '../../store/rotations.ts'
import type { DatabaseRow, SealedValue } from '../../store/rows.ts'
import type { Snapshot } from '../../store/snapshot.ts'

/**
 * Locks the row, which equals the snapshot's.
 * @returns the credential that is being set: the server may take it already
 * @throws Refusal `stale`; `conflict` while the credential is being set, unless the change replaces it
 */
export async function lockedCredential(
  tx: Knex.Transaction,
  row: DatabaseRow,
  replacesAdmin: boolean,
): Promise<SealedValue | undefined> {
  const locked = await lockDatabase(tx, row.id)
  if (locked?.revision !== row.revision) throw refuse('stale')
  if (locked.staged && !replacesAdmin) {
    const detail = 'its administrative credential is being replaced: wait for it, or give one'
    throw refuse('conflict', { errors: [{ pointer: '/admin/password', detail }] })
  }
  return locked.staged
}

/** Runs under the head lock: no lease and no rotation begins meanwhile. @throws Refusal `in_use` */
export async function refuseUsed(tx: Knex.Transaction, { id, name }: DatabaseRow, advice = ''): Promise<void> {
  const leased = 'leases on it are open: they end once no workload entry grants it, or are revoked'
  if (await hasOpenLeases(tx, id)) throw refuse('in_use', { detail: leased + advice })
  const rotated = 'a rotation in it has not ended: retire, cancel or roll it back (:rotation)'
  if (await rotatesIn(tx, name)) throw refuse('in_use', { detail: rotated + advice })
}

/** @throws Refusal `in_use` */
export function refuseGranted(row: DatabaseRow, { workloads }: Snapshot): void {
  const users = [...workloads.values()]
    .filter((workload) => entryOf(workload).fixed.databases.includes(row.name))
    .map((workload) => workload.name)
  if (users.length === 0) return
  throw refuse('in_use', { detail: `workload entries grant it: ${users.toSorted().slice(0, 5).join(', ')}` })
}
