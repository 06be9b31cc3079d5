/** How the log names a lease. */
import type { EntryPart } from '../../audit/entry.ts'
import type { LeaseRow } from '../../store/leases.ts'

type Named = Pick<LeaseRow, 'id' | 'username'>

export const aboutLease = (
  lease: Named,
  outcome: EntryPart['outcome'],
  /** `database`: its name, which auditors know it by. */
  detail: Record<string, unknown> & { database: string },
): EntryPart => ({
  ...(outcome && { outcome }),
  resource: { kind: 'lease', id: lease.id, name: lease.username },
  detail,
})
