/** Finding entries again by their terms (audit/terms.ts). */
import type { Knex } from 'knex'
import { termKeys } from './term-keys.ts'

type Found = { actor: { session?: string } }

/** The newest entry with a term, parsed; nothing where there is none or it was redacted. */
export async function findByTerm(knex: Knex, term: string): Promise<Found | undefined> {
  // By the index in any case: for a key that nobody has, the planner would rather walk the whole log from its end.
  const result = await knex.raw<{ rows: { body: string }[] }>(
    `with found as materialized (select epoch, idx, body from log_entry where terms @> ?::bigint[] and body is not null)
     select body from found order by epoch desc, idx desc limit 1`,
    [termKeys([term])],
  )
  const body = result.rows[0]?.body
  return body === undefined ? undefined : (JSON.parse(body) as Found)
}
