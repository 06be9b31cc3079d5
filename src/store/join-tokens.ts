/** Join tokens, stored as hashes. The append that grants a use counts it (migrations/001-foundation.ts). */
import type { Knex } from 'knex'

export type JoinTokenRow = { id: string; workloadId: string; expiresAt: Date }
export type NewJoinToken = JoinTokenRow & { hash: Buffer; uses: number; createdAt: Date }

export const insertJoinToken = (tx: Knex.Transaction, row: NewJoinToken): Promise<unknown> =>
  tx('join_token').insert({
    id: row.id,
    hash: row.hash,
    workload_id: row.workloadId,
    uses_left: row.uses,
    created_at: row.createdAt,
    expires_at: row.expiresAt,
  })

/** The token with this hash, also when it is used up or expired: the append counts uses, and the caller checks the expiry. */
export async function findJoinToken(knex: Knex, hash: Buffer): Promise<JoinTokenRow | undefined> {
  const row: { id: string; workload_id: string; expires_at: Date } | undefined = await knex('join_token')
    .select('id', 'workload_id', 'expires_at')
    .where({ hash })
    .first()
  return row && { id: row.id, workloadId: row.workload_id, expiresAt: row.expires_at }
}
