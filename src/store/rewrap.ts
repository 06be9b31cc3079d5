/**
 * Data keys by the wrapping key that they are under: counted, read in pages, and replaced. A row that somebody else has
 * locked is left for later and one that changed meanwhile stays as it is, so nobody waits for a rewrap and none is undone by it.
 */
import type { Knex } from './database.ts'

type WrappedKey = { wrappingKeyId: string; dataKey: Buffer }

export type WrappedVersion = WrappedKey & { secretId: string; path: string; version: number }
/** Of a database's administrative credential, or of the next one while it is being set. */
export type WrappedAdmin = WrappedKey & { id: string; revision: number; next: boolean }

export type Rewrapped<T extends WrappedKey> = { old: T; replacement: WrappedKey }

/** Every column that names a wrapping key of a value. */
const columns = [
  ['secret_version', 'wrapping_key_id'],
  ['database', 'wrapping_key_id'],
  ['database', 'next_wrapping_key_id'],
] as const

/** How many values each wrapping key wraps; those that wrap none are left out. */
export async function valuesByKey(knex: Knex): Promise<Map<string, number>> {
  const counts = new Map<string, number>()
  for (const [table, column] of columns) {
    const rows: { id: string; values: string }[] = await knex(table)
      .whereNotNull(column)
      .groupBy(column)
      .select({ id: column })
      .count({ values: '*' })
    for (const { id, values } of rows) counts.set(id, (counts.get(id) ?? 0) + Number(values))
  }
  return counts
}

/** How many values these wrapping keys wrap together. */
export async function countWrapped(knex: Knex, keys: readonly string[]): Promise<number> {
  let count = 0
  for (const [table, column] of columns) {
    const [row]: { values: string }[] = await knex(table).whereIn(column, keys).count({ values: '*' })
    count += Number(row?.values ?? 0)
  }
  return count
}

/** @param after the last one of the page before */
export async function versionsWrappedBy(
  knex: Knex,
  keys: readonly string[],
  after: Pick<WrappedVersion, 'secretId' | 'version'> | undefined,
  max: number,
): Promise<WrappedVersion[]> {
  const { secretId = '', version = 0 } = after ?? {}
  return knex('secret_version as v')
    .join('secret as s', 's.id', 'v.secret_id')
    .whereIn('v.wrapping_key_id', keys)
    .whereRaw('(v.secret_id, v.version) > (?, ?)', [secretId, version])
    .orderBy(['v.secret_id', 'v.version'])
    .limit(max)
    .select({
      secretId: 'v.secret_id',
      version: 'v.version',
      path: 's.path',
      wrappingKeyId: 'v.wrapping_key_id',
      dataKey: 'v.data_key',
    })
}

/** They are few. */
export async function adminsWrappedBy(knex: Knex, keys: readonly string[]): Promise<WrappedAdmin[]> {
  const found: WrappedAdmin[] = []
  for (const next of [false, true]) {
    const [key, dataKey] = next ? ['next_wrapping_key_id', 'next_data_key'] : ['wrapping_key_id', 'data_key']
    const rows: Omit<WrappedAdmin, 'next'>[] = await knex('database')
      .whereIn(key, keys)
      .select({ id: 'id', revision: 'revision', wrappingKeyId: key, dataKey })
    found.push(...rows.map((row) => ({ ...row, next })))
  }
  return found
}

const base64 = (bytes: Buffer): string => bytes.toString('base64')

/** Answers how many were replaced. */
export async function replaceVersionKeys(knex: Knex, rows: readonly Rewrapped<WrappedVersion>[]): Promise<number> {
  const list = rows.map(({ old: was, replacement: now }) => ({
    id: was.secretId,
    version: was.version,
    was: base64(was.dataKey),
    key: now.wrappingKeyId,
    data: base64(now.dataKey),
  }))
  const { rows: done } = await knex.raw<{ rows: unknown[] }>(
    `with wanted as (
       select v.secret_id, v.version, w.key, w.data
         from json_to_recordset(?::json) as w (id text, version int, was text, key text, data text)
         join secret_version v on v.secret_id = w.id and v.version = w.version and v.data_key = decode(w.was, 'base64')
          for update of v skip locked)
     update secret_version v set wrapping_key_id = wanted.key, data_key = decode(wanted.data, 'base64')
       from wanted where v.secret_id = wanted.secret_id and v.version = wanted.version returning 1 as done`,
    [JSON.stringify(list)],
  )
  return done.length
}

/** Answers how many were replaced. */
export async function replaceAdminKeys(knex: Knex, rows: readonly Rewrapped<WrappedAdmin>[]): Promise<number> {
  let done = 0
  for (const { old: was, replacement: now } of rows) {
    const [key, dataKey] = was.next ? ['next_wrapping_key_id', 'next_data_key'] : ['wrapping_key_id', 'data_key']
    done += await knex('database')
      .whereIn(
        'id',
        knex('database')
          .select('id')
          .where({ id: was.id, [dataKey]: was.dataKey })
          .forUpdate()
          .skipLocked(),
      )
      .update({ [key]: now.wrappingKeyId, [dataKey]: now.dataKey })
  }
  return done
}

/** How many versions there ever were, roughly: what the planner knows; less than none where nobody has looked yet. */
export async function estimateVersions(knex: Knex): Promise<number> {
  const { rows } = await knex.raw<{ rows: { rough: number }[] }>(
    `select reltuples::float8 as rough from pg_class where oid = 'secret_version'::regclass`,
  )
  return rows[0]?.rough ?? -1
}

/** How often a wrapping key was used for values: those that it wraps, and those that were made since and are gone. */
export async function countKeyUses(knex: Knex, key: { id: string; createdAt: Date }): Promise<number> {
  const { rows } = await knex.raw<{ rows: { uses: string }[] }>(
    `select count(*) as uses from secret_version where wrapping_key_id = ? or created_at >= ?`,
    [key.id, key.createdAt],
  )
  return Number(rows[0]?.uses ?? 0)
}
