/** The lease that a caller acts on: operators act on each within their bound, a session on its own. */
import type { Caller } from '../../authorize/caller.ts'
import { refuse } from '../../errors.ts'
import { hasSpiffeId } from '../../names/bound.ts'
import type { Knex } from '../../store/database.ts'
import { type LeaseRow, leaseById } from '../../store/leases.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import type { Context } from '../context.ts'

/** A lease with the name of its database. */
export type NamedLease = { lease: LeaseRow; database: string }

/** @throws Refusal `not_found`, also for the lease of another session, and for one outside the bound */
export async function leaseOf(
  { caller }: Pick<Context, 'caller'>,
  knex: Knex,
  { databases }: Pick<Snapshot, 'databases'>,
  id: string,
): Promise<LeaseRow> {
  const lease = await leaseById(knex, id)
  if (!lease || !mayAct(caller, lease, databases)) throw refuse('not_found')
  return lease
}

function mayAct(caller: Caller, lease: LeaseRow, databases: Snapshot['databases']): boolean {
  if (caller.kind === 'session') return caller.session.id === lease.sessionId
  if (caller.kind !== 'operator') return false
  return !caller.bound || (databases.has(lease.databaseId) && hasSpiffeId(caller.bound, lease.spiffeId))
}
