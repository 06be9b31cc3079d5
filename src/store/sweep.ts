/** Rows that nobody will ask for again, a bounded number at a time. The log is never touched. */
import type { Knex } from './database.ts'

export type SweptTable =
  | 'claim'
  | 'access_token'
  | 'idempotency'
  | 'session'
  | 'join_token'
  | 'block'
  | 'lost_batch'
  | 'api_token'
  | 'bootstrap_token'
  | 'lease'

/** What each table's rows are told apart by, and when they are over; `from` finds old ones by its index. */
const swept: Record<SweptTable, { key: string; until: string; from?: string }> = {
  claim: { key: 'key', until: 'until' },
  access_token: { key: 'id', until: 'expires_at' },
  idempotency: { key: 'key', until: 'until' },
  session: { key: 'id', until: 'expires_at', from: 'started_at' },
  join_token: { key: 'id', until: 'expires_at' },
  block: { key: 'id', until: 'until' },
  lost_batch: { key: 'id', until: 'at' },
  api_token: { key: 'id', until: 'expires_at' },
  bootstrap_token: { key: 'id', until: 'expires_at' },
  // An open one has no end.
  lease: { key: 'id', until: 'ended_at' },
}

export const sweptTables: readonly SweptTable[] = [
  'claim',
  'access_token',
  'idempotency',
  'session',
  'join_token',
  'block',
  'lost_batch',
  'api_token',
  'bootstrap_token',
  'lease',
]

/** Deletes at most `most` rows that were over before a time. Answers how many; fewer than `most` when none are left. */
export function deleteExpired(knex: Knex, table: SweptTable, before: Date, max: number): Promise<number> {
  const { key, until, from } = swept[table]
  return knex(table)
    .whereIn(key, (query) => {
      const over = query.from(table).select(key).where(until, '<', before).limit(max)
      if (from !== undefined) void over.where(from, '<', before)
    })
    .delete()
}
