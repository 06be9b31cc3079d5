/** Secrets without their values; secret-versions.ts has the ciphertexts, secret-changes.ts what watches follow. */
import { createHash } from 'node:crypto'
import { type Columns, membersOf } from './columns.ts'
import type { Knex } from './database.ts'
import type { SecretRow } from './rows.ts'

type Tx = Knex.Transaction

const columns = (row: SecretRow): Record<string, unknown> => ({
  version: row.version,
  revision: row.revision,
  description: row.description ?? null,
  labels: JSON.stringify(row.labels),
  max_versions: row.maxVersions,
  managed_by: row.managedBy ?? null,
  rotator: row.rotator ?? null,
  updated_at: row.updatedAt,
})

/** Updates everything but the path and the time of creation. */
export const updateSecret = (tx: Tx, row: SecretRow): Promise<unknown> =>
  tx('secret').where({ id: row.id }).update(columns(row))

/** Marks the row as deleted. Its path is free again. */
export async function removeSecret(tx: Tx, id: string, now: Date): Promise<void> {
  await tx('secret').where({ id }).update({ deleted_at: now })
}

/** The highest version that a secret has, staged ones included. */
export async function lastVersionOf(tx: Knex, id: string): Promise<number> {
  const rows: { last: number | null }[] = await tx('secret_version').where({ secret_id: id }).max({ last: 'version' })
  return rows[0]?.last ?? 0
}

const secretColumns = ['id', 'path', 'version', 'revision', 'description', 'labels', 'max_versions', 'managed_by', 'rotator', 'created_at', 'updated_at'] // prettier-ignore

const live = (knex: Knex) => knex('secret').whereNull('deleted_at').select(secretColumns)

const toSecret = (row: Columns<SecretRow>): SecretRow => membersOf(row)

/**
 * Look-ups send the hash of a path: a name that was typed by mistake may be a password, and PostgreSQL can log what it is
 * sent.
 */
export const hashOfPath = (path: string): Buffer => createHash('sha256').update(path).digest()

export function atPaths(query: Knex.QueryBuilder, paths: readonly string[]): Knex.QueryBuilder {
  if (paths.length === 0) return query.whereRaw('false')
  return query.whereRaw(`sha256(decode(path, 'escape')) in (${paths.map(() => '?').join(', ')})`, paths.map(hashOfPath))
}

/** The secrets at these paths. */
export async function findSecrets(knex: Knex, paths: readonly string[]): Promise<Map<string, SecretRow>> {
  if (paths.length === 0) return new Map()
  const rows: Columns<SecretRow>[] = await atPaths(live(knex), paths)
  return new Map(rows.map((row) => [row.path, toSecret(row)]))
}

export const findSecret = async (knex: Knex, path: string): Promise<SecretRow | undefined> =>
  (await findSecrets(knex, [path])).get(path)

export async function findSecretById(knex: Knex, id: string): Promise<SecretRow | undefined> {
  const row: Columns<SecretRow> | undefined = await live(knex).where({ id }).first()
  return row && toSecret(row)
}

/** Locks the row of the secret at a path. */
export async function lockSecret(tx: Tx, path: string): Promise<SecretRow | undefined> {
  const row: Columns<SecretRow> | undefined = await atPaths(live(tx), [path]).forUpdate().first()
  return row && toSecret(row)
}

/** Paths from `from` up to, but not including, `before`; by bytes. */
export type PathRange = { from: string; before: string }

/** Every path that begins with a text is before this one: no path has a character above "~" (names/secret-path.ts). */
export const endOfPrefix = (prefix: string): string => `${prefix}~`

/** The first text after a path: no path has a character below "-". */
export const afterPath = (path: string): string => `${path} `

/** The next secrets of a range, in the order of their paths. */
export async function listSecrets(knex: Knex, { from, before }: PathRange, max: number): Promise<SecretRow[]> {
  const rows: Columns<SecretRow>[] = await live(knex)
    .whereRaw('path ~>=~ ? and path ~<~ ?', [from, before])
    .orderByRaw('path using ~<~')
    .limit(max)
  return rows.map(toSecret)
}
