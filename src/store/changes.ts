/** The numbers of changes: of policy, which outdates decisions, and of secrets, which their watchers follow. */
import type { Knex } from 'knex'
import type { Head } from './log.ts'

/**
 * Stamps the changed rows with the number of the change, so that replicas read only those rows, and sets it in the head
 * row. Runs under the head lock. The transaction already holds the row locks: no lock is taken after the head lock.
 */
export async function markChanged(
  tx: Knex.Transaction,
  { changes }: Pick<Head, 'changes'>,
  rows: { table: string; where: Record<string, string> }[],
): Promise<void> {
  if (rows.length === 0) return
  const stamp = changes + 1
  for (const row of rows) await tx(row.table).where(row.where).update({ changed: stamp })
  const isPolicy = rows.some(({ table }) => table !== 'secret')
  const hasSecrets = rows.some(({ table }) => table === 'secret')
  // The trigger of the table takes a change that counts no secrets for one of policy.
  await tx('log_head').update({
    revision: stamp,
    ...(isPolicy ? { policy_revision: stamp } : { secret_changes: tx.raw('secret_changes + 1') }),
  })
  if (isPolicy) await tx.raw(`select pg_notify('purser_revision', ?)`, [String(stamp)])
  if (hasSecrets) await tx.raw(`select pg_notify('purser_secrets', ?)`, [String(stamp)])
}
