/** Extends a lease of the caller's session, at the database's server first. */
import type { Recorded } from '../../audit/record.ts'
import { sessionGrant } from '../../authorize/session-grant.ts'
import { refuse } from '../../errors.ts'
import { asAdmin } from '../../secrets/databases/admin.ts'
import { definitionOf } from '../../secrets/databases/definition.ts'
import { extendRole } from '../../secrets/databases/roles.ts'
import { targetError } from '../../secrets/databases/target-error.ts'
import { leaseEntry } from '../../secrets/leases/entry.ts'
import type { LeaseParts } from '../../secrets/leases/issue.ts'
import type { Knex } from '../../store/database.ts'
import { type LeaseRow, extendLease } from '../../store/leases.ts'
import { deleteRenewal, insertRenewal } from '../../store/renewals.ts'
import type { DatabaseRow } from '../../store/rows.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import type { Acting, Context } from '../context.ts'
import { type NamedLease, leaseOf } from './find.ts'

type Extension = { lease: LeaseRow; database: DatabaseRow; expiresAt: Date }

export const createRenewLease =
  (parts: LeaseParts) =>
  async (context: Context, { begin, finish }: Acting, id: string): Promise<Recorded<NamedLease>> => {
    const { requestId, time } = context
    const { result: extension } = await begin(async (tx, snapshot) => {
      const lease = await leaseOf(context, tx, snapshot, id)
      const result = extensionOf(context, lease, snapshot)
      await insertRenewal(tx, { id: requestId, leaseId: id }, time)
      return { result, entry: leaseEntry(lease, 'intended', detailOf(result)) }
    })
    const { lease, database, expiresAt } = extension
    // A renewal that takes too long is recorded as failed by a job (jobs/leases.ts).
    const endRenewal = async (tx: Knex.Transaction): Promise<void> => {
      if (!(await deleteRenewal(tx, requestId))) throw refuse('unavailable', { retryAfterSeconds: 5 })
    }
    try {
      await parts.turns(database.id, () =>
        asAdmin(parts, database, (session) => extendRole(session, lease.username, expiresAt)),
      )
    } catch (error) {
      const failed = leaseEntry(lease, 'failed', { database: database.name, error: targetError(error).message })
      await finish(async (tx) => {
        await endRenewal(tx)
        return { result: undefined, entry: failed }
      })
      throw refuse('unavailable', { detail: 'the role can’t be extended now', retryAfterSeconds: 5 })
    }
    return finish(async (tx) => {
      await endRenewal(tx)
      return {
        result: { lease: { ...lease, expiresAt }, database: database.name },
        entry: leaseEntry(lease, 'completed', detailOf(extension)),
        async placed() {
          if ((await extendLease(tx, lease.id, expiresAt)) !== 1) throw refuse('lease_over')
        },
      }
    })
  }

const detailOf = ({ database, expiresAt }: Extension) => ({
  database: database.name,
  expiresAt: expiresAt.toISOString(),
})

/** @throws Refusal `lease_over`, `not_granted` */
function extensionOf({ caller, time }: Context, lease: LeaseRow, snapshot: Snapshot): Extension {
  if (caller.kind !== 'session') throw refuse('token_type')
  const { session } = caller
  if (lease.state !== 'active' || lease.expiresAt <= time) throw refuse('lease_over')
  const database = snapshot.databases.get(lease.databaseId)
  const decision = sessionGrant(snapshot, session)
  if (!decision) throw refuse('unauthenticated')
  if (!database || !decision.grant.databases.includes(database.name)) throw refuse('not_granted')
  const { defaultLifetimeSeconds } = definitionOf(database)
  const extended = Math.min(
    time.getTime() + defaultLifetimeSeconds * 1000,
    lease.maxExpiresAt.getTime(),
    session.expiresAt.getTime(),
  )
  // Clocks of replicas differ: a renewal never shortens a lease.
  return { lease, database, expiresAt: new Date(Math.max(extended, lease.expiresAt.getTime())) }
}
