/** How the log names a lease. */
import type { EntryPart } from '../../audit/entry.ts'
import type { LeaseRow } from '../../store/leases.ts'
import type { Snapshot } from '../../store/snapshot.ts'

/** Auditors know a database by its name; one that was removed has only its id. */
export const databaseName = ({ databases }: Pick<Snapshot, 'databases'>, databaseId: string): string =>
  databases.get(databaseId)?.name ?? databaseId

export const leaseEntry = (
  lease: Pick<LeaseRow, 'id' | 'username'>,
  outcome: EntryPart['outcome'],
  detail: Record<string, unknown> & { database: string },
): EntryPart => ({
  ...(outcome && { outcome }),
  resource: { kind: 'lease', id: lease.id, name: lease.username },
  detail,
})
