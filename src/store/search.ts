/** Finding entries again by their terms (audit/terms.ts). */
import type { Knex } from 'knex'

type Found = { actor: { session?: string } }

/** The newest entry with a term, parsed; nothing where there is none or it was redacted. */
export async function findByTerm(knex: Knex, term: string): Promise<Found | undefined> {
  const row: { body: string | null } | undefined = await knex('log_entry')
    .select('body')
    .whereRaw('terms @> array[?]::text[]', [term])
    .orderBy([
      { column: 'epoch', order: 'desc' },
      { column: 'idx', order: 'desc' },
    ])
    .first()
  return row?.body ? (JSON.parse(row.body) as Found) : undefined
}
