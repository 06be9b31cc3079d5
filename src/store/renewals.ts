/** Renewals of leases in progress: a row lives from the `intended` entry to the entry with the outcome. */
import { type Columns, membersOf } from './columns.ts'
import type { Knex } from './database.ts'

type Tx = Knex.Transaction

export type Renewal = { id: string; leaseId: string; username: string; databaseId: string }

/** @param id of the request */
export const insertRenewal = (tx: Tx, { id, leaseId }: Pick<Renewal, 'id' | 'leaseId'>, now: Date): Promise<unknown> =>
  tx('lease_renewal').insert({ id, lease_id: leaseId, begun_at: now })

/** Returns whether the row was still there, that is, whether its outcome is not recorded yet. */
export async function deleteRenewal(tx: Tx, id: string): Promise<boolean> {
  return (await tx('lease_renewal').where({ id }).delete()) === 1
}

/** Whether renewals began before a time. Takes no lock, since there are usually none. */
export async function hasRenewals(knex: Knex, before: Date): Promise<boolean> {
  return (await knex('lease_renewal').where('begun_at', '<', before).first('id')) !== undefined
}

/** Deletes and returns renewals that began before a time, whose replica has stopped. Skips those that another replica takes. */
export async function takeRenewals(tx: Tx, before: Date, max: number): Promise<Renewal[]> {
  const rows: Columns<Renewal>[] = await tx('lease_renewal as r')
    .join('lease as l', 'l.id', 'r.lease_id')
    .where('r.begun_at', '<', before)
    .orderBy('r.begun_at')
    .limit(max)
    .select('r.id', 'r.lease_id', 'l.username', 'l.database_id')
    .forUpdate('r')
    .skipLocked()
  await tx('lease_renewal')
    .whereIn(
      'id',
      rows.map((row) => row.id),
    )
    .delete()
  return rows.map(membersOf<Renewal>)
}
