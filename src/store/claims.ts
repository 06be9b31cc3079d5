import type { Knex } from './database.ts'
import type { Claim } from './effects.ts'

/**
 * The present state of a claim: free, repeatable by the same holder, or spent. The append decides; this check avoids
 * outside effects that would have to be undone.
 * @param since the same holder may repeat a first claim of this time or later
 */
export async function claimState(
  knex: Knex,
  { key, holder }: Claim,
  since: Date,
): Promise<'free' | 'repeatable' | 'spent'> {
  const row: { holder: Buffer; claimed_at: Date } | undefined = await knex('claim')
    .where({ key })
    .first('holder', 'claimed_at')
  if (!row) return 'free'
  return row.holder.equals(holder) && row.claimed_at >= since ? 'repeatable' : 'spent'
}

/** Whether a single-use claim was made before this time. */
export async function claimedBefore(knex: Knex, key: Buffer, time: Date): Promise<boolean> {
  const row: unknown = await knex('claim').where({ key }).where('claimed_at', '<', time).first('key')
  return row !== undefined
}

/** Makes a claim in a transaction. Returns false if it was made before. */
export async function takeClaim(
  tx: Knex.Transaction,
  key: Buffer,
  { now, until, holder = key }: { now: Date; until: Date; holder?: Buffer },
): Promise<boolean> {
  const rows: unknown[] = await tx('claim')
    .insert({ key, holder, claimed_at: now, until })
    .onConflict('key')
    .ignore()
    .returning('key')
  return rows.length > 0
}
