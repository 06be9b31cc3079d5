/** The end of leases: begun, tried until the role is gone, or given up. Written under the head lock alone (leases.ts). */
import type { Knex } from './database.ts'
import { type LeaseRecord, type LeaseRow, type LeaseState, openLeases, toLease } from './leases.ts'
import { lockHead } from './log.ts'

type Tx = Knex.Transaction

/**
 * Under the head lock. Those that are still in one of the states begin to end, and `until` nobody else works on them.
 * Answers how many.
 */
export const beginRevoking = (
  tx: Tx,
  ids: readonly string[],
  from: readonly LeaseState[],
  { reason, now, until }: { reason: string; now: Date; until?: Date },
): Promise<number> =>
  tx('lease')
    .whereIn('id', ids)
    .whereIn('state', from)
    .update({ state: 'revoking', reason, next_attempt_at: now, locked_until: until ?? null })

/** Under the head lock: the roles are gone. */
export const endLeases = (tx: Tx, ids: readonly string[], now: Date): Promise<number> =>
  tx('lease')
    .whereIn('id', ids)
    .whereNull('ended_at')
    .update({ state: 'revoked', ended_at: now, locked_until: null, next_attempt_at: null, last_error: null })

/** Under the head lock: it is tried no more, and nobody says that the role is gone. Answers how many. */
export const abandonLease = (tx: Tx, id: string, reason: string, now: Date): Promise<number> =>
  tx('lease')
    .where({ id, state: 'revoking' })
    .update({ state: 'abandoned', reason, ended_at: now, locked_until: null, next_attempt_at: null })

/** Under the head lock: roles that no open lease knows become leases that are being ended. */
export const adoptRoles = (
  tx: Tx,
  databaseId: string,
  roles: readonly { id: string; username: string }[],
  now: Date,
): Promise<unknown> =>
  tx('lease')
    .insert(
      roles.map(({ id, username }) => ({
        id,
        database_id: databaseId,
        username,
        state: 'revoking',
        reason: 'orphan',
        created_at: now,
        expires_at: now,
        max_expires_at: now,
        next_attempt_at: now,
      })),
    )
    .onConflict('id')
    // Its own lease was ended without it, or abandoned.
    .merge({
      database_id: databaseId,
      state: 'revoking',
      reason: 'orphan',
      next_attempt_at: now,
      ended_at: null,
      attempts: 0,
      last_error: null,
    })
    .whereNotNull('lease.ended_at')

/** Under the head lock: the roles may still be there. Tried again after 2, 4, 8 … seconds, at last once an hour. */
export async function postponeLeases(tx: Tx, ids: readonly string[], error: string, now: Date): Promise<void> {
  await tx.raw(
    `update lease set attempts = attempts + 1, last_error = ?, locked_until = null,
            next_attempt_at = ?::timestamptz + least(3600, 2 ^ least(attempts + 1, 12)) * interval '1 second'
      where id = any(?) and state = 'revoking'`,
    [error, now, [...ids]],
  )
}

/** Takes what is due of one database for a while: rows that another replica works on are left out. */
export async function claimRevoking(knex: Knex, now: Date, until: Date, max: number): Promise<LeaseRow[]> {
  const due = (tx: Knex) =>
    openLeases(tx)
      .where({ state: 'revoking' })
      .where('next_attempt_at', '<=', now)
      .where((either) => void either.whereNull('locked_until').orWhere('locked_until', '<=', now))
  // Without the lock first, which everybody's appends wait for: most of the time nothing is due.
  const first: { database_id: string } | undefined = await due(knex).orderBy('next_attempt_at').first('database_id')
  if (!first) return []
  return knex.transaction(async (tx) => {
    await lockHead(tx)
    const rows: LeaseRecord[] = await due(tx)
      .where({ database_id: first.database_id })
      .orderBy('next_attempt_at')
      .limit(max)
    const ids = rows.map((row) => row.id)
    await tx('lease').whereIn('id', ids).update({ locked_until: until })
    return rows.map(toLease)
  })
}

/** Active leases whose own time is over. */
export async function expiredLeases(knex: Knex, now: Date, max: number): Promise<LeaseRow[]> {
  const rows: LeaseRecord[] = await openLeases(knex)
    .where({ state: 'active' })
    .where('expires_at', '<=', now)
    .orderBy('expires_at')
    .limit(max)
  return rows.map(toLease)
}

/** Active leases whose session was given up or revoked since a time. Whatever else became of it, `heldLeases` tells. */
export async function leasesOfEndedSessions(knex: Knex, since: Date, max: number): Promise<LeaseRow[]> {
  const rows: LeaseRecord[] = await knex('session as s')
    .join('lease as l', 'l.session_id', 's.id')
    .where('s.ended_at', '>', since)
    .where('l.state', 'active')
    .orderBy('s.ended_at')
    .limit(max)
    .select('l.*')
  return rows.map(toLease)
}

/** Intended before a time and never given out: whoever made them is gone. */
export async function staleIntendedLeases(knex: Knex, before: Date, max: number): Promise<LeaseRow[]> {
  const rows: LeaseRecord[] = await openLeases(knex)
    .where({ state: 'intended' })
    .where('created_at', '<', before)
    .orderBy('created_at')
    .limit(max)
  return rows.map(toLease)
}

export type RevokedLease = { id: string; databaseId: string; username: string }

type Holder = { kind: 'spiffeId' | 'instance'; value: string }

/** Open leases of every session of a SPIFFE ID or an instance. */
export async function leasesOfHolder(tx: Knex, { kind, value }: Holder): Promise<RevokedLease[]> {
  const held = kind === 'spiffeId' ? { 's.spiffe_id': value } : { 's.instance': Buffer.from(value, 'hex') }
  const rows: { id: string; database_id: string; username: string }[] = await tx('session as s')
    .join('lease as l', 'l.session_id', 's.id')
    .where(held)
    .whereIn('l.state', ['intended', 'active'])
    .orderBy('l.id')
    .select('l.id', 'l.database_id', 'l.username')
  return rows.map((row) => ({ id: row.id, databaseId: row.database_id, username: row.username }))
}
