import type { Knex } from './database.ts'

/** Whether something that may happen once had happened by then. */
export async function claimedBefore(knex: Knex, key: Buffer, time: Date): Promise<boolean> {
  const row: unknown = await knex('claim').where({ key }).where('claimed_at', '<', time).first('key')
  return row !== undefined
}
