/** Gives a lease up whose server is gone for good: the log says that its role was not dropped. */
import { refuse } from '../../errors.ts'
import { databaseName, leaseEntry } from '../../secrets/leases/entry.ts'
import { abandonLease as endLease } from '../../store/lease-ends.ts'
import { type ChangeAction, checkReason } from '../context.ts'
import { type NamedLease, leaseOf } from './find.ts'

/** @throws Refusal `conflict` for a lease that no attempt to revoke has failed for */
export const abandonLease: ChangeAction<string, NamedLease> = async (context, tx, snapshot, id) => {
  checkReason(context, 'must say why the role will not be dropped: it goes into the log')
  const lease = await leaseOf(context, tx, snapshot, id)
  if (lease.state !== 'revoking' || lease.attempts === 0)
    throw refuse('conflict', { detail: `it is ${lease.state}: only what was tried to be revoked can be abandoned` })
  const { attempts, lastError = '' } = lease
  const database = databaseName(snapshot, lease.databaseId)
  return {
    result: { lease: { ...lease, state: 'abandoned', reason: 'abandoned', endedAt: context.time }, database },
    entry: leaseEntry(lease, 'granted', { database, attempts, lastError }),
    async placed() {
      if ((await endLease(tx, id, 'abandoned', context.time)) !== 1) throw refuse('conflict')
    },
  }
}
