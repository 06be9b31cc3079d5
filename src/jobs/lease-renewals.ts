/**
 * Records renewals whose replica died as failed. The role may be valid for longer at its server; its lease keeps its end, and
 * the role ends with the lease.
 */
import { databaseName, leaseEntry } from '../secrets/leases/entry.ts'
import type { Database } from '../store/database.ts'
import { hasRenewals, takeRenewals } from '../store/renewals.ts'
import { type OnceParts, changeIf } from './once.ts'

/** Longer than every renewal. */
const strandedAfterMs = 60_000
const page = 100

export async function endRenewals(parts: OnceParts & { db: Pick<Database, 'knex'> }): Promise<void> {
  const before = new Date(parts.now().getTime() - strandedAfterMs)
  if (!(await hasRenewals(parts.db.knex, before))) return
  await changeIf(parts, 'lease.renew', async (tx, snapshot) => {
    const [entry, ...more] = (await takeRenewals(tx, before, page)).map(({ leaseId, username, databaseId }) =>
      leaseEntry({ id: leaseId, username }, 'failed', {
        database: databaseName(snapshot, databaseId),
        error: 'interrupted: whoever began it is gone, and the lease ends when it did before',
      }),
    )
    return entry && { result: undefined, entry, more }
  })
}
