/** The revision: one number that every change to what decisions are made from moves on. */
import type { Knex } from 'knex'

/**
 * Under the head lock: stamps the changed rows with the new revision, so that replicas read only those, and moves the
 * head to it. Their row locks are held already; no lock is taken after the head's.
 */
export async function markChanged(
  tx: Knex.Transaction,
  revision: number,
  rows: { table: string; where: Record<string, string> }[],
): Promise<void> {
  if (rows.length === 0) return
  for (const row of rows) await tx(row.table).where(row.where).update({ changed: revision })
  await tx('log_head').update({ revision })
  await tx.raw(`select pg_notify('purser_revision', ?)`, [String(revision)])
}
