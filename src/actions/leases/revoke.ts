/** Revokes a lease and drops its role. A job tries again where that fails now. */
import type { Recorded } from '../../audit/record.ts'
import { refuse } from '../../errors.ts'
import { databaseName, leaseEntry } from '../../secrets/leases/entry.ts'
import type { LeaseParts } from '../../secrets/leases/issue.ts'
import { beginRevoking } from '../../store/lease-ends.ts'
import { leaseById } from '../../store/leases.ts'
import type { Acting, Context } from '../context.ts'
import { type NamedLease, leaseOf } from './find.ts'

/** The longest attempt to drop a role. */
const maxAttemptMs = 60_000

export const createRevokeLease =
  ({ db, revokeRoles }: Pick<LeaseParts, 'db' | 'revokeRoles'>) =>
  async (context: Context, { open, begin, finish }: Acting, id: string): Promise<Recorded<NamedLease>> => {
    const { caller, time: now } = context
    const { result: revoking } = await begin(async (tx, snapshot) => {
      const lease = await leaseOf(context, tx, snapshot, id)
      if (lease.state === 'abandoned')
        throw refuse('conflict', { detail: 'it was abandoned, so Purser no longer tries to drop its role' })
      const reason = caller.kind === 'operator' ? 'revoked' : 'given_up'
      const until = new Date(now.getTime() + maxAttemptMs)
      return {
        result: { ...lease, reason: lease.reason ?? reason },
        entry: leaseEntry(lease, 'intended', { database: databaseName(snapshot, lease.databaseId), reason }),
        // A lease that is being revoked is left to the job or the request that revokes it.
        placed: () => beginRevoking(tx, [id], ['intended', 'active'], { reason, now, until }),
      }
    })
    if (revoking.state === 'intended' || revoking.state === 'active') await revokeRoles([revoking], open)
    const lease = (await leaseById(db.knex, id)) ?? revoking
    return finish(async (_, snapshot) => {
      const database = databaseName(snapshot, lease.databaseId)
      return { result: { lease, database }, entry: leaseEntry(lease, 'granted', { database, state: lease.state }) }
    })
  }
