/**
 * Leases: roles that were made for one session, until their end. The group commit locks these rows too, under the head
 * lock: so but for new ones they are written under it alone (`placed`, or `underHead`), and no two writers ever meet.
 */
import type { Knex } from './database.ts'

type Tx = Knex.Transaction

/**
 * intended (before its role is made) → active (with the entry that gives it out) → revoking → revoked; or abandoned, where
 * somebody said that nobody will ever reach its server again.
 */
export type LeaseState = 'intended' | 'active' | 'revoking' | 'revoked' | 'abandoned'

export type LeaseRow = {
  id: string
  databaseId: string
  sessionId: string
  workloadId: string
  spiffeId: string
  username: string
  state: LeaseState
  createdAt: Date
  expiresAt: Date
  maxExpiresAt: Date
  /** Why it ends, or ended. */
  reason?: string
  /** Tries to take the role away. */
  attempts: number
  lastError?: string
  nextAttemptAt?: Date
  endedAt?: Date
}

export type LeaseRecord = {
  id: string
  database_id: string
  session_id: string | null
  workload_id: string | null
  spiffe_id: string | null
  username: string
  state: LeaseState
  created_at: Date
  expires_at: Date
  max_expires_at: Date
  reason: string | null
  attempts: number
  last_error: string | null
  next_attempt_at: Date | null
  ended_at: Date | null
}

export const toLease = (row: LeaseRecord): LeaseRow => ({
  id: row.id,
  databaseId: row.database_id,
  sessionId: row.session_id ?? '',
  workloadId: row.workload_id ?? '',
  spiffeId: row.spiffe_id ?? '',
  username: row.username,
  state: row.state,
  createdAt: row.created_at,
  expiresAt: row.expires_at,
  maxExpiresAt: row.max_expires_at,
  ...(row.reason !== null && { reason: row.reason }),
  attempts: row.attempts,
  ...(row.last_error !== null && { lastError: row.last_error }),
  ...(row.next_attempt_at !== null && { nextAttemptAt: row.next_attempt_at }),
  ...(row.ended_at !== null && { endedAt: row.ended_at }),
})

export type NewLease = Omit<LeaseRow, 'state' | 'attempts' | 'reason' | 'lastError' | 'nextAttemptAt' | 'endedAt'>

export const insertLeases = (tx: Tx, rows: readonly NewLease[]): Promise<unknown> =>
  tx('lease').insert(
    rows.map((row) => ({
      id: row.id,
      database_id: row.databaseId,
      session_id: row.sessionId,
      workload_id: row.workloadId,
      spiffe_id: row.spiffeId,
      username: row.username,
      state: 'intended',
      created_at: row.createdAt,
      expires_at: row.expiresAt,
      max_expires_at: row.maxExpiresAt,
    })),
  )

export async function leaseById(knex: Knex, id: string): Promise<LeaseRow | undefined> {
  const row: LeaseRecord | undefined = await knex('lease').where({ id }).first()
  return row && toLease(row)
}

export type LeaseFilter = { databaseId?: string; sessionId?: string; state?: LeaseState }

/** By id, after one. */
export async function listLeases(knex: Knex, filter: LeaseFilter, after: string, most: number): Promise<LeaseRow[]> {
  const { databaseId, sessionId, state } = filter
  const rows: LeaseRecord[] = await knex('lease')
    .where({
      ...(databaseId !== undefined && { database_id: databaseId }),
      ...(sessionId !== undefined && { session_id: sessionId }),
      ...(state !== undefined && { state }),
    })
    .where('id', '>', after)
    .orderBy('id')
    .limit(most)
  return rows.map(toLease)
}

export const openLeases = (knex: Knex) => knex('lease').whereNull('ended_at')

export async function hasOpenLeases(knex: Knex, databaseId: string): Promise<boolean> {
  return (await openLeases(knex).where({ database_id: databaseId }).first('id')) !== undefined
}

/** How many of a session's are not ended yet. */
export async function openLeasesOf(knex: Knex, sessionId: string): Promise<number> {
  const rows: unknown[] = await openLeases(knex).where({ session_id: sessionId }).select('id')
  return rows.length
}

/** Of the named roles those that an open lease knows, whatever database it is of: roles belong to a whole server. */
export async function knownUsernames(knex: Knex, usernames: readonly string[]): Promise<Set<string>> {
  if (usernames.length === 0) return new Set()
  const rows: { username: string }[] = await openLeases(knex).whereIn('username', usernames).select('username')
  return new Set(rows.map((row) => row.username))
}

/** An active lease, and what its session is as far as the database knows. */
export type HeldLease = LeaseRow & {
  session?: { attestorId: string; spiffeId: string; selectors: Record<string, string | string[]>; instance: Buffer }
}

/** Active leases whose own time is over. */
export async function expiredLeases(knex: Knex, now: Date, most: number): Promise<LeaseRow[]> {
  const rows: LeaseRecord[] = await openLeases(knex)
    .where({ state: 'active' })
    .where('expires_at', '<=', now)
    .orderBy('expires_at')
    .limit(most)
  return rows.map(toLease)
}

/** Active leases whose session is over: it may have been given up or revoked. Looks at every open lease. */
export async function forsakenLeases(knex: Knex, now: Date, most: number): Promise<LeaseRow[]> {
  const rows: LeaseRecord[] = await knex('lease as l')
    .leftJoin('session as s', 's.id', 'l.session_id')
    .whereNull('l.ended_at')
    .where('l.state', 'active')
    .where((either) => {
      void either.whereNull('s.id').orWhereNotNull('s.ended_at').orWhere('s.expires_at', '<=', now)
    })
    .orderBy('l.expires_at')
    .limit(most)
    .select('l.*')
  return rows.map(toLease)
}

/** Intended before a time and never given out: whoever made them is gone. */
export async function strandedLeases(knex: Knex, before: Date, most: number): Promise<LeaseRow[]> {
  const rows: LeaseRecord[] = await openLeases(knex)
    .where({ state: 'intended' })
    .where('created_at', '<', before)
    .orderBy('created_at')
    .limit(most)
  return rows.map(toLease)
}

/** Active leases with their sessions, by id, after one. */
export async function heldLeases(knex: Knex, after: string, most: number): Promise<HeldLease[]> {
  type Joined = LeaseRecord & {
    s_attestor: string | null
    s_spiffe: string
    s_selectors: Record<string, string | string[]>
    s_instance: Buffer
  }
  const rows: Joined[] = await knex('lease as l')
    .leftJoin('session as s', 's.id', 'l.session_id')
    .whereNull('l.ended_at')
    .where('l.state', 'active')
    .where('l.id', '>', after)
    .orderBy('l.id')
    .limit(most)
    .select('l.*', 's.attestor_id as s_attestor', 's.spiffe_id as s_spiffe', 's.selectors as s_selectors', 's.instance as s_instance') // prettier-ignore
  return rows.map((row) => ({
    ...toLease(row),
    ...(row.s_attestor !== null && {
      session: {
        attestorId: row.s_attestor,
        spiffeId: row.s_spiffe,
        selectors: row.s_selectors,
        instance: row.s_instance,
      },
    }),
  }))
}

/** Under the head lock: an active one lives longer. */
export const extendLease = (tx: Tx, id: string, expiresAt: Date): Promise<number> =>
  tx('lease').where({ id, state: 'active' }).update({ expires_at: expiresAt })

export type LeaseCounts = { open: number; revoking: number; irrevocable: number }

/** For the metrics. */
export async function countLeases(knex: Knex, irrevocableAfter: number): Promise<LeaseCounts> {
  const { rows } = await knex.raw<{ rows: Record<keyof LeaseCounts, string>[] }>(
    `select count(*) as open, count(*) filter (where state = 'revoking') as revoking,
            count(*) filter (where state = 'revoking' and attempts >= ?) as irrevocable
       from lease where ended_at is null`,
    [irrevocableAfter],
  )
  const [row] = rows
  return {
    open: Number(row?.open ?? 0),
    revoking: Number(row?.revoking ?? 0),
    irrevocable: Number(row?.irrevocable ?? 0),
  }
}
