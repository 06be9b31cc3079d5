/** Leases in force of one holder: its revocation ends them. */
import type { Knex } from './database.ts'

export type RevokedLease = { id: string; databaseId: string; username: string }

type Holder = { kind: 'spiffeId' | 'instance'; value: string }

/** Open leases of every session of a SPIFFE ID or an instance. */
export async function leasesHeld(tx: Knex, { kind, value }: Holder): Promise<RevokedLease[]> {
  const held = kind === 'spiffeId' ? { 's.spiffe_id': value } : { 's.instance': Buffer.from(value, 'hex') }
  const rows: { id: string; database_id: string; username: string }[] = await tx('session as s')
    .join('lease as l', 'l.session_id', 's.id')
    .where(held)
    .whereIn('l.state', ['intended', 'active'])
    .orderBy('l.id')
    .select('l.id', 'l.database_id', 'l.username')
  return rows.map((row) => ({ id: row.id, databaseId: row.database_id, username: row.username }))
}
