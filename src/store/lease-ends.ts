/** The end of leases: which ones are due, and their revocation until the role is dropped or abandoned. See leases.ts for locks. */
import { type Columns, membersOf } from './columns.ts'
import type { Knex } from './database.ts'
import { type LeaseRecord, type LeaseRow, type LeaseState, openLeases, toLease } from './leases.ts'
import { lockHead } from './log.ts'

type Tx = Knex.Transaction

/**
 * Moves leases that are still in one of the states to `revoking`. No other replica works on them before `until`. Requires
 * the head lock. Returns their number.
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

/** Marks leases as revoked, after their roles were dropped. Requires the head lock. Returns their number. */
export const endLeases = (tx: Tx, ids: readonly string[], now: Date): Promise<number> =>
  tx('lease')
    .whereIn('id', ids)
    .whereNull('ended_at')
    .update({ state: 'revoked', ended_at: now, locked_until: null, next_attempt_at: null, last_error: null })

/** Stops the attempts to revoke a lease. Its role may still exist. Requires the head lock. Returns the number of rows. */
export const abandonLease = (tx: Tx, id: string, reason: string, now: Date): Promise<number> =>
  tx('lease')
    .where({ id, state: 'revoking' })
    .update({ state: 'abandoned', reason, ended_at: now, locked_until: null, next_attempt_at: null })

/** Turns roles without an open lease into leases in state `revoking`. Requires the head lock. */
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
    // The role's own lease was abandoned, or ended without dropping the role.
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

/** Schedules the next attempt, after 2, 4, 8 … seconds and at most an hour: the roles may still exist. Requires the head lock. */
export async function postponeLeases(tx: Tx, ids: readonly string[], error: string, now: Date): Promise<void> {
  await tx.raw(
    `update lease set attempts = attempts + 1, last_error = ?, locked_until = null,
            next_attempt_at = ?::timestamptz + least(3600, 2 ^ least(attempts + 1, 12)) * interval '1 second'
      where id = any(?) and state = 'revoking'`,
    [error, now, [...ids]],
  )
}

/** Claims the due leases of one database until a time. Leaves out leases that another replica has claimed. */
export async function claimRevoking(knex: Knex, now: Date, until: Date, max: number): Promise<LeaseRow[]> {
  const due = (tx: Knex) =>
    openLeases(tx)
      .where({ state: 'revoking' })
      .where('next_attempt_at', '<=', now)
      .where((either) => void either.whereNull('locked_until').orWhere('locked_until', '<=', now))
  // The first look takes no lock, since appends would wait for it: mostly no lease is due.
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

/** Open leases in a state, with a time before another one; the earliest first. */
async function leasesBefore(
  knex: Knex,
  state: LeaseState,
  column: 'expires_at' | 'created_at',
  time: Date,
  max: number,
): Promise<LeaseRow[]> {
  const due = openLeases(knex).where({ state }).where(column, '<=', time)
  const rows: LeaseRecord[] = await due.orderBy(column).limit(max)
  return rows.map(toLease)
}

/** Active leases that have expired. */
export const expiredLeases = (knex: Knex, now: Date, max: number): Promise<LeaseRow[]> =>
  leasesBefore(knex, 'active', 'expires_at', now, max)

/** Leases that were intended before a time and never issued: the replica that created them has stopped. */
export const staleIntendedLeases = (knex: Knex, before: Date, max: number): Promise<LeaseRow[]> =>
  leasesBefore(knex, 'intended', 'created_at', before, max)

/** Active leases of sessions that ended after `since`. For other reasons to end a lease see `activeLeases`. */
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

/** A lease that a revocation of its holder ends. */
export type RevokedLease = { id: string; databaseId: string; username: string }

type Holder = { kind: 'spiffeId' | 'instance'; value: string }

/** Open leases of every session of a SPIFFE ID or an instance. */
export async function leasesOfHolder(tx: Knex, { kind, value }: Holder): Promise<RevokedLease[]> {
  const holder = kind === 'spiffeId' ? { 's.spiffe_id': value } : { 's.instance': Buffer.from(value, 'hex') }
  const rows: Columns<RevokedLease>[] = await tx('session as s')
    .join('lease as l', 'l.session_id', 's.id')
    .where(holder)
    .whereIn('l.state', ['intended', 'active'])
    .orderBy('l.id')
    .select('l.id', 'l.database_id', 'l.username')
  return rows.map(membersOf<RevokedLease>)
}
