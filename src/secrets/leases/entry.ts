/** How the log names a lease. */
import type { EntryPart } from '../../audit/entry.ts'
import type { LeaseRow } from '../../store/leases.ts'

type Named = Pick<LeaseRow, 'id' | 'username'>

export const aboutLease = (
  lease: Named,
  outcome: EntryPart['outcome'],
  detail: Record<string, unknown>,
): EntryPart => ({
  ...(outcome && { outcome }),
  resource: { kind: 'lease', id: lease.id, name: lease.username },
  detail,
})
