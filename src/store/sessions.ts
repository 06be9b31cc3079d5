/** Sessions and access tokens as the append wrote them. */
import type { Knex } from 'knex'

export type StoredSession = {
  id: string
  spiffeId: string
  workloadId: string
  attestorId: string
  selectors: Record<string, string | string[]>
  expiresAt: Date
}

type Row = {
  id: string
  spiffe_id: string
  workload_id: string
  attestor_id: string
  selectors: Record<string, string | string[]>
  expires_at: Date
}

const columns = ['s.id', 's.spiffe_id', 's.workload_id', 's.attestor_id', 's.selectors', 's.expires_at']

const toSession = (row: Row): StoredSession => ({
  id: row.id,
  spiffeId: row.spiffe_id,
  workloadId: row.workload_id,
  attestorId: row.attestor_id,
  selectors: row.selectors,
  expiresAt: row.expires_at,
})

/** The session behind a live access token; equal for unknown, expired and revoked tokens and for ended sessions. */
export async function sessionByToken(knex: Knex, hash: Buffer, now: Date): Promise<StoredSession | undefined> {
  const row: Row | undefined = await knex('access_token as t')
    .join('session as s', 's.id', 't.session_id')
    .where('t.hash', hash)
    .where('t.expires_at', '>', now)
    .whereNull('t.revoked_at')
    .where('s.expires_at', '>', now)
    .whereNull('s.ended_at')
    .first(columns)
  return row && toSession(row)
}

export async function sessionById(knex: Knex, id: string, now: Date): Promise<StoredSession | undefined> {
  const row: Row | undefined = await knex('session as s')
    .where('s.id', id)
    .where('s.expires_at', '>', now)
    .whereNull('s.ended_at')
    .first(columns)
  return row && toSession(row)
}

/** Ends sessions in the transaction of the entry that says so. Answers how many. */
export const endSession = (tx: Knex.Transaction, id: string, reason: string, now: Date): Promise<number> =>
  tx('session').where({ id }).whereNull('ended_at').update({ ended_at: now, end_reason: reason })
