/** Entries found again by their terms (audit/terms.ts). */
import type { Knex } from './database.ts'
import { termKeys } from './term-keys.ts'

/** Bodies of those that have every term's key, newest first, parsed; redacted ones are left out. */
export async function findEntries(knex: Knex, terms: readonly string[], max: number): Promise<unknown[]> {
  // By the index in any case: for a key that nobody has, the planner would rather walk the whole log from its end.
  const result = await knex.raw<{ rows: { body: string }[] }>(
    `with found as materialized (select epoch, idx, body from log_entry where terms @> ?::bigint[] and body is not null)
     select body from found order by epoch desc, idx desc limit ?`,
    [termKeys(terms), max],
  )
  return result.rows.map((row): unknown => JSON.parse(row.body))
}
