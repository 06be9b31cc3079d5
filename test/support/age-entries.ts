/** Makes entries of the log older, as if days had passed. */
import type { Knex } from '../../src/store/database.ts'

/** `at` is the row's time for searches and retention. The hashed text does not change. */
export async function ageEntries(knex: Knex, days: number): Promise<void> {
  await knex.transaction(async (tx) => {
    await tx.raw('set local session_replication_role = replica')
    await tx.raw(`update log_entry set at = at - make_interval(days => ?)`, [days])
  })
}
