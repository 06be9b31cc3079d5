/** API tokens of operators, bootstrap tokens and join tokens. All are stored as hashes. */
import type { Bound } from '../names/bound.ts'
import { type Columns, columnsOf, membersOf } from './columns.ts'
import type { Knex } from './database.ts'
import type { Role } from './rows.ts'

export type NewApiToken = {
  id: string
  hash: Buffer
  operator: string
  role: Role
  routes?: readonly string[]
  bound?: Bound
  description?: string
  createdAt: Date
  expiresAt: Date
  login?: true
  /** The mapping of an OpenID login. */
  loginBy?: string
  /** Of the session of a browser: it ends after so long without a request. */
  idleSeconds?: number
  /** Set where the first use is not recorded. */
  firstUsedAt?: Date
}

/** Servers of the previous version know neither routes nor bounds, so they accept no token that has some (migration 009). */
export async function insertApiToken(tx: Knex.Transaction, { role, ...token }: NewApiToken): Promise<void> {
  const bounded = tx('operator').where({ name: token.operator }).whereNull('deleted_at').whereNotNull('bound')
  const isLimited = token.routes || token.bound || (await bounded.first('id')) !== undefined
  await tx('api_token').insert(columnsOf({ ...token, ownRole: role, role: isLimited ? 'none' : role }))
}

/** The time of the last use is not policy: it has no stamp, so that no replica reads the row again. */
export const setLastUsed = (knex: Knex, id: string, now: Date): Promise<unknown> =>
  knex('api_token')
    .where({ id })
    .where((query) => void query.whereNull('last_used_at').orWhere('last_used_at', '<', now))
    .update({ last_used_at: now })

/** The time of the last use of each token that was used, by its id. */
export async function readLastUses(knex: Knex): Promise<ReadonlyMap<string, Date>> {
  const rows: { id: string; last_used_at: Date }[] = await knex('api_token')
    .whereNotNull('last_used_at')
    .select('id', 'last_used_at')
  return new Map(rows.map((row) => [row.id, row.last_used_at]))
}

export const setFirstUsed = (tx: Knex.Transaction, id: string, now: Date): Promise<unknown> =>
  tx('api_token').where({ id }).update({ first_used_at: now })

export const revokeApiToken = (tx: Knex.Transaction, id: string, now: Date): Promise<unknown> =>
  tx('api_token').where({ id }).whereNull('revoked_at').update({ revoked_at: now })

/** Revokes the live login sessions of an operator, but for a spared one. Returns their ids. */
export async function endLogins(tx: Knex.Transaction, operator: string, now: Date, spared?: string): Promise<string[]> {
  const live = tx('api_token').where({ operator, login: true }).whereNull('revoked_at').where('expires_at', '>', now)
  if (spared !== undefined) void live.whereNot({ id: spared })
  const ended: { id: string }[] = await live.update({ revoked_at: now }).returning('id')
  return ended.map(({ id }) => id)
}

export type IdleLogin = { id: string; operator: string; idleSeconds: number }

const idleAt = (knex: Knex, now: Date, graceSeconds: number) =>
  knex('api_token')
    .whereNotNull('idle_seconds')
    .whereNull('revoked_at')
    .where('expires_at', '>', now)
    .whereRaw(`coalesce(last_used_at, created_at) < ?::timestamptz - (idle_seconds + ?::int) * interval '1 second'`, [
      now,
      graceSeconds,
    ])

/** The live login sessions that had no request for their idle time. */
export async function idleLogins(knex: Knex, now: Date, graceSeconds: number): Promise<IdleLogin[]> {
  const rows: Columns<IdleLogin>[] = await idleAt(knex, now, graceSeconds).select('id', 'operator', 'idle_seconds')
  return rows.map((row) => membersOf<IdleLogin>(row))
}

/** Revokes them. */
export async function endIdleLogins(tx: Knex.Transaction, now: Date, graceSeconds: number): Promise<IdleLogin[]> {
  const rows: Columns<IdleLogin>[] = await idleAt(tx, now, graceSeconds)
    .update({ revoked_at: now })
    .returning(['id', 'operator', 'idle_seconds'])
  return rows.map((row) => membersOf<IdleLogin>(row))
}

/** Each bootstrap token has the API token that it was exchanged for. */
export type BootstrapToken = { id: string; hash: Buffer; createdAt: Date; expiresAt: Date }

type Row = { id: string; expires_at: Date; api_token_id: string | null; dead_at: Date | null }

export const insertBootstrapToken = (tx: Knex.Transaction, token: BootstrapToken): Promise<unknown> =>
  tx('bootstrap_token').insert(columnsOf(token))

/** Hashes in hex of the live bootstrap tokens: at most one, since a new token ends the earlier ones. */
export async function readLiveBootstrapTokens(knex: Knex, now: Date): Promise<ReadonlySet<string>> {
  const live = knex('bootstrap_token').whereNull('dead_at').where('expires_at', '>', now)
  const rows: { hash: Buffer }[] = await live.select('hash')
  return new Set(rows.map(({ hash }) => hash.toString('hex')))
}

/** The live token with this hash, locked until the transaction ends. */
export async function lockBootstrapToken(
  tx: Knex.Transaction,
  hash: Buffer,
  now: Date,
): Promise<{ id: string; apiTokenId: string | undefined } | undefined> {
  const row: Row | undefined = await tx('bootstrap_token').where({ hash }).forUpdate().first()
  if (!row || row.dead_at || row.expires_at <= now) return undefined
  return { id: row.id, apiTokenId: row.api_token_id ?? undefined }
}

/** Sets the API token that a bootstrap token was exchanged for. */
export const setApiToken = (tx: Knex.Transaction, id: string, apiTokenId: string): Promise<unknown> =>
  tx('bootstrap_token').where({ id }).update({ api_token_id: apiTokenId })

/** Ends the bootstrap token that was exchanged for this API token. Returns whether there was one. */
export async function endBootstrapTokenOf(tx: Knex.Transaction, apiTokenId: string, now: Date): Promise<boolean> {
  const live = tx('bootstrap_token').where({ api_token_id: apiTokenId }).whereNull('dead_at')
  return (await live.update({ dead_at: now })) > 0
}

/** Returns their ids. */
export async function endLiveBootstrapTokens(tx: Knex.Transaction, now: Date): Promise<string[]> {
  const live = tx('bootstrap_token').whereNull('dead_at').where('expires_at', '>', now)
  const ended: { id: string }[] = await live.update({ dead_at: now }).returning('id')
  return ended.map(({ id }) => id)
}

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
