/**
 * Leases: database roles that were created for one session. The group commit locks these rows too, under the head lock.
 * Therefore existing rows are only written under the head lock (`placed` or `underHead`), which avoids deadlocks.
 */
import { type Columns, columnsOf, membersOf } from './columns.ts'
import type { Knex } from './database.ts'
import type { StoredSession } from './sessions.ts'

type Tx = Knex.Transaction

/**
 * intended (before its role is created) → active (with the entry that issues it) → revoking → revoked. Abandoned: an
 * operator stated that its database server will never be reachable again.
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
  /** The reason of its end. */
  reason?: string
  /** Attempts to drop the role. */
  attempts: number
  lastError?: string
  nextAttemptAt?: Date
  endedAt?: Date
}

/** The lease of an orphaned role has no holder. */
type Holder = 'sessionId' | 'workloadId' | 'spiffeId'
type StoredLease = Omit<LeaseRow, Holder> & Partial<Pick<LeaseRow, Holder>>
export type LeaseRecord = Columns<StoredLease>

export const toLease = (row: LeaseRecord): LeaseRow => ({
  sessionId: '',
  workloadId: '',
  spiffeId: '',
  ...membersOf<StoredLease>(row),
})

export type NewLease = Omit<LeaseRow, 'state' | 'attempts' | 'reason' | 'lastError' | 'nextAttemptAt' | 'endedAt'>

export const insertLeases = (tx: Tx, rows: readonly NewLease[]): Promise<unknown> =>
  tx('lease').insert(rows.map((row) => columnsOf({ ...row, state: 'intended' })))

export async function leaseById(knex: Knex, id: string): Promise<LeaseRow | undefined> {
  const row: LeaseRecord | undefined = await knex('lease').where({ id }).first()
  return row && toLease(row)
}

export type LeaseFilter = {
  databaseId?: string
  sessionId?: string
  state?: LeaseState
  /** Those that a bounded operator may know: in these databases, of SPIFFE IDs that begin so. */
  within?: { databaseIds: readonly string[]; spiffeIds: string | undefined }
}

/** Leases ordered by id, after the id `after`. */
export async function listLeases(knex: Knex, filter: LeaseFilter, after: string, max: number): Promise<LeaseRow[]> {
  const { databaseId, sessionId, state, within } = filter
  const rows: LeaseRecord[] = await knex('lease')
    .where({
      ...(databaseId !== undefined && { database_id: databaseId }),
      ...(sessionId !== undefined && { session_id: sessionId }),
      ...(state !== undefined && { state }),
    })
    .where('id', '>', after)
    .modify((query) => {
      if (!within) return
      void query.whereRaw('database_id = any(?)', [[...within.databaseIds]])
      void query.whereRaw('starts_with(spiffe_id, ?)', [within.spiffeIds ?? null])
    })
    .orderBy('id')
    .limit(max)
  return rows.map(toLease)
}

export const openLeases = (knex: Knex) => knex('lease').whereNull('ended_at')

export async function hasOpenLeases(knex: Knex, databaseId: string): Promise<boolean> {
  return (await openLeases(knex).where({ database_id: databaseId }).first('id')) !== undefined
}

/** The number of open leases of a session. */
export async function countOpenLeases(knex: Knex, sessionId: string): Promise<number> {
  const rows: unknown[] = await openLeases(knex).where({ session_id: sessionId }).select('id')
  return rows.length
}

/** The ids of those leases that have not ended. */
export async function openLeaseIds(knex: Knex, ids: readonly string[]): Promise<Set<string>> {
  if (ids.length === 0) return new Set()
  const rows: { id: string }[] = await knex('lease').whereIn('id', ids).whereNull('ended_at').select('id')
  return new Set(rows.map((row) => row.id))
}

/** The roles that belong to an open lease of any database: PostgreSQL roles are shared by all databases of a server. */
export async function leasedUsernames(knex: Knex, usernames: readonly string[]): Promise<Set<string>> {
  if (usernames.length === 0) return new Set()
  const rows: { username: string }[] = await openLeases(knex).whereIn('username', usernames).select('username')
  return new Set(rows.map((row) => row.username))
}

type LeaseSession = Pick<StoredSession, 'attestorId' | 'spiffeId' | 'selectors' | 'instance' | 'expiresAt'> & {
  endedAt?: Date
}

/** An active lease with its session, where the database still has that row. */
export type ActiveLease = LeaseRow & { session?: LeaseSession }

/**
 * Active leases with their sessions, ordered by id, after the id `after`: all, or those of some workload entries. Runs two
 * queries, because Postgres plans a join of one page as a scan of all sessions.
 */
export async function activeLeases(
  knex: Knex,
  after: string,
  max: number,
  workloadIds: 'all' | readonly string[] = 'all',
): Promise<ActiveLease[]> {
  const rows: LeaseRecord[] = await knex('lease')
    .where({ state: 'active' })
    .where('id', '>', after)
    .modify((query) => void (workloadIds !== 'all' && query.whereIn('workload_id', [...workloadIds])))
    .orderBy('id')
    .limit(max)
  const ids = [...new Set(rows.flatMap((row) => row.session_id ?? []))]
  const sessions: (Columns<LeaseSession> & { id: string })[] = await knex('session')
    .whereRaw('id = any(?)', [ids])
    .select('id', 'attestor_id', 'spiffe_id', 'selectors', 'instance', 'expires_at', 'ended_at')
  const byId = new Map(sessions.map(({ id, ...session }) => [id, membersOf<LeaseSession>(session)]))
  return rows.map((row) => {
    const session = byId.get(row.session_id ?? '')
    return { ...toLease(row), ...(session && { session }) }
  })
}

/** Sets a later expiry of an active lease. Requires the head lock. */
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
