/** Join tokens, stored as hashes. The append that grants a use counts it (migrations/001-foundation.ts). */
import type { Knex } from 'knex'
import { type Columns, columnsOf, membersOf } from './columns.ts'

export type JoinTokenRow = { id: string; workloadId: string; expiresAt: Date }
export type NewJoinToken = JoinTokenRow & { hash: Buffer; usesLeft: number; createdAt: Date }

export const insertJoinToken = (tx: Knex.Transaction, row: NewJoinToken): Promise<unknown> =>
  tx('join_token').insert(columnsOf(row))

/** The token with this hash, also when it is used up or expired: the append counts uses, and the caller checks the expiry. */
export async function findJoinToken(knex: Knex, hash: Buffer): Promise<JoinTokenRow | undefined> {
  const row: Columns<JoinTokenRow> | undefined = await knex('join_token')
    .select('id', 'workload_id', 'expires_at')
    .where({ hash })
    .first()
  return row && membersOf(row)
}
