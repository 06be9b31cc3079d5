/**
 * Counts, reads and replaces data keys by the wrapping key that wraps them. A locked row is skipped until later, and a row
 * that changed meanwhile stays as it is: a rewrap delays no writer and overwrites no change.
 */
import type { Knex } from './database.ts'

type WrappedKey = { wrappingKeyId: string; dataKey: Buffer }

export type WrappedVersion = WrappedKey & { secretId: string; path: string; version: number }
/** The data key of a database's administrative credential, or of the staged next one. */
export type WrappedAdmin = WrappedKey & { id: string; revision: number; next: boolean }

/** The data key of the secret of an authenticator app. */
export type WrappedTotp = WrappedKey & { totpId: string }

export type Rewrapped<T extends WrappedKey> = { old: T; replacement: WrappedKey }

/** Every column that names a wrapping key of a value. */
const columns = [
  ['secret_version', 'wrapping_key_id'],
  ['database', 'wrapping_key_id'],
  ['database', 'next_wrapping_key_id'],
  ['operator_totp', 'wrapping_key_id'],
] as const

/** The number of values that each wrapping key wraps. Leaves out keys that wrap none. */
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

/** The number of values that these wrapping keys wrap together. */
export async function countWrapped(knex: Knex, keys: readonly string[]): Promise<number> {
  let count = 0
  for (const [table, column] of columns) {
    const [row]: { values: string }[] = await knex(table).whereIn(column, keys).count({ values: '*' })
    count += Number(row?.values ?? 0)
  }
  return count
}

/** @param after the last version of the previous page */
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

/** Not paged, since databases are few. */
export async function adminsWrappedBy(knex: Knex, keys: readonly string[]): Promise<WrappedAdmin[]> {
  const admins: WrappedAdmin[] = []
  for (const next of [false, true]) {
    const [key, dataKey] = next ? ['next_wrapping_key_id', 'next_data_key'] : ['wrapping_key_id', 'data_key']
    const rows: Omit<WrappedAdmin, 'next'>[] = await knex('database')
      .whereIn(key, keys)
      .select({ id: 'id', revision: 'revision', wrappingKeyId: key, dataKey })
    admins.push(...rows.map((row) => ({ ...row, next })))
  }
  return admins
}

/** Not paged, since operators are few. */
export const totpsWrappedBy = async (knex: Knex, keys: readonly string[]): Promise<WrappedTotp[]> =>
  knex('operator_totp')
    .whereIn('wrapping_key_id', keys)
    .select({ totpId: 'id', wrappingKeyId: 'wrapping_key_id', dataKey: 'data_key' })

/** Returns the number of replaced keys. */
export async function replaceTotpKeys(knex: Knex, rows: readonly Rewrapped<WrappedTotp>[]): Promise<number> {
  let count = 0
  for (const { old, replacement } of rows) {
    count += await knex('operator_totp')
      .where({ id: old.totpId, data_key: old.dataKey })
      .update({ wrapping_key_id: replacement.wrappingKeyId, data_key: replacement.dataKey })
  }
  return count
}

const base64 = (bytes: Buffer): string => bytes.toString('base64')

/** Returns the number of replaced keys. */
export async function replaceVersionKeys(knex: Knex, rows: readonly Rewrapped<WrappedVersion>[]): Promise<number> {
  const list = rows.map(({ old, replacement }) => ({
    id: old.secretId,
    version: old.version,
    oldData: base64(old.dataKey),
    key: replacement.wrappingKeyId,
    data: base64(replacement.dataKey),
  }))
  const { rows: updated } = await knex.raw<{ rows: unknown[] }>(
    `with rewrap as (
       select v.secret_id, v.version, w.key, w.data
         from json_to_recordset(?::json) as w (id text, version int, "oldData" text, key text, data text)
         join secret_version v on v.secret_id = w.id and v.version = w.version and v.data_key = decode(w."oldData", 'base64')
          for update of v skip locked)
     update secret_version v set wrapping_key_id = rewrap.key, data_key = decode(rewrap.data, 'base64')
       from rewrap where v.secret_id = rewrap.secret_id and v.version = rewrap.version returning 1 as updated`,
    [JSON.stringify(list)],
  )
  return updated.length
}

/** Returns the number of replaced keys. */
export async function replaceAdminKeys(knex: Knex, rows: readonly Rewrapped<WrappedAdmin>[]): Promise<number> {
  let count = 0
  for (const { old, replacement } of rows) {
    const [key, dataKey] = old.next ? ['next_wrapping_key_id', 'next_data_key'] : ['wrapping_key_id', 'data_key']
    count += await knex('database')
      .whereIn(
        'id',
        knex('database')
          .select('id')
          .where({ id: old.id, [dataKey]: old.dataKey })
          .forUpdate()
          .skipLocked(),
      )
      .update({ [key]: replacement.wrappingKeyId, [dataKey]: replacement.dataKey })
  }
  return count
}

/** The planner's estimate of the number of versions; negative before the first analyze or vacuum. */
export async function estimateVersions(knex: Knex): Promise<number> {
  const { rows } = await knex.raw<{ rows: { estimate: number }[] }>(
    `select reltuples::float8 as estimate from pg_class where oid = 'secret_version'::regclass`,
  )
  return rows[0]?.estimate ?? -1
}

/** The number of uses of a wrapping key: the values that it wraps, and all values that were created since the key was. */
export async function countKeyUses(knex: Knex, key: { id: string; createdAt: Date }): Promise<number> {
  const { rows } = await knex.raw<{ rows: { uses: string }[] }>(
    `select count(*) as uses from secret_version where wrapping_key_id = ? or created_at >= ?`,
    [key.id, key.createdAt],
  )
  return Number(rows[0]?.uses ?? 0)
}
