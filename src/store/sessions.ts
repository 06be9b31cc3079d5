/** Sessions and access tokens. `log_append` inserts them. */
import type { Knex } from 'knex'
import { type Columns, membersOf } from './columns.ts'

export type StoredSession = {
  id: string
  spiffeId: string
  workloadId: string
  attestorId: string
  selectors: Record<string, string | string[]>
  expiresAt: Date
  instance: Buffer
  entryKeyed: boolean
  generation: number
  /** The number of times that its facts changed. */
  facts: number
  account?: string
}

type Row = Columns<StoredSession>

const columns = ['id', 'instance', 'entry_keyed', 'generation', 'facts', 'account', 'spiffe_id', 'workload_id', 'attestor_id', 'selectors', 'expires_at'].map((name) => `s.${name}`) // prettier-ignore

const toSession = (row: Row): StoredSession => membersOf(row)

export type LiveToken = { id: string; expiresAt: Date; session: StoredSession }

/** A live access token with its session; undefined for unknown, expired and revoked tokens and for ended sessions. */
export async function liveToken(knex: Knex, hash: Buffer, now: Date): Promise<LiveToken | undefined> {
  const row: (Row & { token_id: string; token_expires_at: Date }) | undefined = await knex('access_token as t')
    .join('session as s', 's.id', 't.session_id')
    .where('t.hash', hash)
    .where('t.expires_at', '>', now)
    .whereNull('t.revoked_at')
    .where('s.expires_at', '>', now)
    .whereNull('s.ended_at')
    .first([...columns, 't.id as token_id', 't.expires_at as token_expires_at'])
  if (!row) return undefined
  const { token_id: tokenId, token_expires_at: tokenEnd, ...session } = row
  return { id: tokenId, expiresAt: tokenEnd, session: toSession(session) }
}

/** A credential of a session under the name that a revocation blocks. */
export type Revocable = { kind: 'serialNumber' | 'jti'; name: string }

/** The session of a credential; undefined if the session ended or the credential is revoked. */
export async function liveSessionOf(
  knex: Knex,
  { kind, name }: Revocable,
  id: string,
  now: Date,
): Promise<StoredSession | undefined> {
  const row: Row | undefined = await knex('session as s')
    .where('s.id', id)
    .where('s.expires_at', '>', now)
    .whereNull('s.ended_at')
    .whereNotExists(knex('block').select(knex.raw('1')).where({ kind, value: name }))
    .first(columns)
  return row && toSession(row)
}

/** Ends a session, in the transaction of the entry that records it. Returns 0 when it had ended before. */
export const endSession = (tx: Knex.Transaction, id: string, reason: string, now: Date): Promise<number> =>
  tx('session').where({ id }).whereNull('ended_at').update({ ended_at: now, end_reason: reason })

/** Ends sessions, in the transaction of the entry that records it. */
export const endSessions = (tx: Knex.Transaction, ids: readonly string[], reason: string, now: Date): Promise<number> =>
  tx('session')
    .whereRaw('id = any(?)', [[...ids]])
    .whereNull('ended_at')
    .update({ ended_at: now, end_reason: reason })

/** A session, live or ended. */
export async function sessionById(tx: Knex, id: string): Promise<StoredSession | undefined> {
  const row: Row | undefined = await tx('session as s').where('s.id', id).first(columns)
  return row && toSession(row)
}

/** Ends the live sessions of a SPIFFE ID that began at `since` or later. Returns their ids. */
export async function endSessionsOf(
  tx: Knex.Transaction,
  spiffeId: string,
  since: Date,
  reason: string,
  now: Date,
): Promise<string[]> {
  const rows: { id: string }[] = await tx('session')
    .where('spiffe_id', spiffeId)
    .where('started_at', '>=', since)
    .where('expires_at', '>', now)
    .whereNull('ended_at')
    .update({ ended_at: now, end_reason: reason })
    .returning('id')
  return rows.map((row) => row.id)
}

/** An access token by its public id, in any state. */
export async function tokenById(
  tx: Knex,
  id: string,
): Promise<{ id: string; expiresAt: Date; spiffeId?: string } | undefined> {
  const row: { id: string; expires_at: Date; spiffe_id: string | null } | undefined = await tx('access_token as t')
    .leftJoin('session as s', 's.id', 't.session_id')
    .where('t.id', id)
    .first('t.id', 't.expires_at', 's.spiffe_id')
  return row && membersOf(row)
}

/** Revokes access tokens by their public ids. */
export async function revokeTokens(tx: Knex.Transaction, ids: readonly string[], now: Date): Promise<void> {
  for (let at = 0; at < ids.length; at += 500) {
    await tx('access_token')
      .whereIn('id', ids.slice(at, at + 500))
      .whereNull('revoked_at')
      .update({ revoked_at: now })
  }
}

/** The facts of those sessions that have not ended. Does not check blocks. */
export async function liveSessions(
  knex: Knex,
  ids: readonly string[],
  now: Date,
): Promise<Map<string, Pick<StoredSession, 'selectors' | 'facts'>>> {
  const live = new Map<string, Pick<StoredSession, 'selectors' | 'facts'>>()
  for (let at = 0; at < ids.length; at += 500) {
    const rows: Pick<Row, 'id' | 'selectors' | 'facts'>[] = await knex('session')
      .whereIn('id', ids.slice(at, at + 500))
      .where('expires_at', '>', now)
      .whereNull('ended_at')
      .select('id', 'selectors', 'facts')
    for (const { id, selectors, facts } of rows) live.set(id, { selectors, facts })
  }
  return live
}

/** Whether a session has not ended and its facts are still those. Under the head lock, no other append changes either. */
export async function isSessionAt(
  tx: Knex.Transaction,
  { id, facts }: Pick<StoredSession, 'id' | 'facts'>,
  now: Date,
): Promise<boolean> {
  const live = await liveSessions(tx, [id], now)
  return live.get(id)?.facts === facts
}

/** The live sessions of an instance whose facts differ. */
export async function sessionsWithOtherFacts(
  knex: Knex,
  instance: Buffer,
  selectors: Readonly<Record<string, string | string[]>>,
  now: Date,
): Promise<StoredSession[]> {
  const rows: Row[] = await knex('session as s')
    .where('s.instance', instance)
    .where('s.expires_at', '>', now)
    .whereNull('s.ended_at')
    .whereRaw('s.selectors <> ?::jsonb', [JSON.stringify(selectors)])
    .select(columns)
  return rows.map(toSession)
}
