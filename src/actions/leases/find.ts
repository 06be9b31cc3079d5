/** The lease that a caller acts on: operators act on each, a session on its own. */
import { refuse } from '../../errors.ts'
import type { Knex } from '../../store/database.ts'
import { type LeaseRow, leaseById } from '../../store/leases.ts'
import type { Context } from '../context.ts'

/** A lease with the name of its database. */
export type NamedLease = { lease: LeaseRow; database: string }

/** @throws Refusal `not_found`, also for the lease of another session */
export async function leaseOf({ caller }: Pick<Context, 'caller'>, knex: Knex, id: string): Promise<LeaseRow> {
  const lease = await leaseById(knex, id)
  const mayAct = caller.kind === 'operator' || (caller.kind === 'session' && caller.session.id === lease?.sessionId)
  if (!lease || !mayAct) throw refuse('not_found')
  return lease
}
