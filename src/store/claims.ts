import type { Knex } from './database.ts'
import type { Claim } from './effects.ts'

/**
 * What a claim would find now: nothing before it, a first claim that its key may repeat, or one that refuses it. The append
 * decides; this spares outside effects that would be undone.
 * @param since first claims of that time or later may be repeated
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

/** Whether something that may happen once had happened by then. */
export async function claimedBefore(knex: Knex, key: Buffer, time: Date): Promise<boolean> {
  const row: unknown = await knex('claim').where({ key }).where('claimed_at', '<', time).first('key')
  return row !== undefined
}
