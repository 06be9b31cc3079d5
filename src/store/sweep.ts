/** Deletes expired rows, a bounded number at a time. Never touches the log. */
import type { Knex } from './database.ts'

/** The key of each table and the column with the end of a row. `from`: an earlier time that is indexed. */
const swept = {
  claim: { key: 'key', until: 'until' },
  access_token: { key: 'id', until: 'expires_at' },
  idempotency: { key: 'key', until: 'until' },
  session: { key: 'id', until: 'expires_at', from: 'started_at' },
  join_token: { key: 'id', until: 'expires_at' },
  block: { key: 'id', until: 'until' },
  approval: { key: 'id', until: 'expires_at' },
  lost_batch: { key: 'id', until: 'at' },
  api_token: { key: 'id', until: 'expires_at' },
  bootstrap_token: { key: 'id', until: 'expires_at' },
  tries: { key: 'door', until: 'since' },
  // An open lease has no end.
  lease: { key: 'id', until: 'ended_at' },
} as const

export type SweptTable = keyof typeof swept
const isSwept = (name: string): name is SweptTable => Object.hasOwn(swept, name)
export const sweptTables: readonly SweptTable[] = Object.keys(swept).filter(isSwept)

/** Deletes at most `max` rows that ended before a time. Returns their number, which is below `max` when none are left. */
export function deleteExpired(knex: Knex, table: SweptTable, before: Date, max: number): Promise<number> {
  const { key, until, from }: { key: string; until: string; from?: string } = swept[table]
  return knex(table)
    .whereIn(key, (query) => {
      const expired = query.from(table).select(key).where(until, '<', before).limit(max)
      if (from !== undefined) void expired.where(from, '<', before)
    })
    .delete()
}
