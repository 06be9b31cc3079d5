/** Entries found again by their terms (audit/terms.ts). */
import type { Knex } from 'knex'
import { termKeys } from './term-keys.ts'

/** Those that hold every term, newest first, parsed; redacted ones are left out. */
export async function findEntries(knex: Knex, terms: readonly string[], most: number): Promise<unknown[]> {
  const rows: { body: string }[] = await knex('log_entry')
    .select('body')
    .whereRaw('terms @> ?::bigint[]', [termKeys(terms)])
    .whereNotNull('body')
    .orderBy([
      { column: 'epoch', order: 'desc' },
      { column: 'idx', order: 'desc' },
    ])
    .limit(most)
  return rows.map((row): unknown => JSON.parse(row.body))
}
