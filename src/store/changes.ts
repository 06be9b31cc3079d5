/** The revision: a number that each change of a policy row increments. */
import type { Knex } from 'knex'

/**
 * Stamps the changed rows with the new revision, so that replicas read only those rows, and sets it in the head row. Runs
 * under the head lock. The transaction already holds the row locks: no lock is taken after the head lock.
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
