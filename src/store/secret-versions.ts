/** Versions of secrets with their ciphertexts. Only the wrapping and the times of a version change later. */
import { type Columns, columnsOf, membersOf, sealedIn } from './columns.ts'
import type { Knex } from './database.ts'
import type { SealedValue, SecretRow } from './rows.ts'

type Tx = Knex.Transaction

export type VersionSource = 'put' | 'patch' | 'rotation' | 'rollback' | 'import'

export type VersionRow = {
  secretId: string
  version: number
  /** Absent when the version was destroyed. */
  sealed?: SealedValue
  /** Belongs to a rotation that has not made it current yet. */
  staged: boolean
  source: VersionSource
  /** `operator:<name>`, or `system`. */
  createdBy: string
  createdAt: Date
  expiresAt?: Date
  deletedAt?: Date
  /** A rotation removed the value from its target: it gives no access any more. */
  retiredAt?: Date
  destroyedAt?: Date
}

type StoredVersion = Omit<VersionRow, 'sealed'> & Partial<SealedValue>
type VersionRecord = Columns<StoredVersion>

function toVersion(row: VersionRecord): VersionRow {
  const { wrappingKeyId, dataKey, ciphertext, ...version } = membersOf<StoredVersion>(row)
  const sealed = sealedIn({ wrappingKeyId, dataKey, ciphertext })
  return { ...version, ...(sealed && { sealed }) }
}

export const insertVersion = (tx: Tx, { sealed, ...row }: VersionRow & { sealed: SealedValue }): Promise<unknown> =>
  tx('secret_version').insert(columnsOf({ ...row, ...sealed }))

/** Versions of secrets with their ciphertexts. */
export async function readVersions(
  knex: Knex,
  versions: readonly { secretId: string; version: number }[],
): Promise<VersionRow[]> {
  if (versions.length === 0) return []
  const rows: VersionRecord[] = await knex('secret_version').whereIn(
    ['secret_id', 'version'],
    versions.map(({ secretId, version }) => [secretId, version]),
  )
  return rows.map(toVersion)
}

const describedColumns = ['secret_id', 'version', 'staged', 'source', 'created_by', 'created_at', 'expires_at', 'deleted_at', 'retired_at', 'destroyed_at'] // prettier-ignore

/** All versions of a secret, newest first, without values: a hundred values may take 19 MiB. */
export async function listVersions(knex: Knex, secretId: string): Promise<Omit<VersionRow, 'sealed'>[]> {
  const rows: Columns<Omit<VersionRow, 'sealed'>>[] = await knex('secret_version')
    .where({ secret_id: secretId })
    .orderBy('version', 'desc')
    .select(describedColumns)
  return rows.map(membersOf<Omit<VersionRow, 'sealed'>>)
}

type VersionEnds = Pick<VersionRow, 'deletedAt' | 'destroyedAt'>

/** The secrets whose current version was deleted or destroyed, by their ids. */
export async function readEnds(knex: Knex, secrets: readonly SecretRow[]): Promise<Map<string, VersionEnds>> {
  if (secrets.length === 0) return new Map()
  const rows: (Columns<VersionEnds> & { secret_id: string })[] = await knex('secret_version')
    .whereIn(
      ['secret_id', 'version'],
      secrets.map(({ id, version }) => [id, version]),
    )
    .whereRaw('coalesce(deleted_at, destroyed_at) is not null')
    .select('secret_id', 'deleted_at', 'destroyed_at')
  return new Map(rows.map(({ secret_id: id, ...ends }) => [id, membersOf<VersionEnds>(ends)]))
}

const versionsOf = (tx: Tx, secretId: string, versions: readonly number[]) =>
  tx('secret_version').where({ secret_id: secretId }).whereIn('version', versions)

/** Returns the number of versions that were neither deleted nor destroyed before. */
export const deleteVersions = (tx: Tx, secretId: string, versions: readonly number[], now: Date): Promise<number> =>
  versionsOf(tx, secretId, versions).whereNull('deleted_at').whereNull('destroyed_at').update({ deleted_at: now })

export const undeleteVersions = (tx: Tx, secretId: string, versions: readonly number[]): Promise<number> =>
  versionsOf(tx, secretId, versions).whereNotNull('deleted_at').whereNull('destroyed_at').update({ deleted_at: null })

/** Removes value and data key. The row stays as a record of the version. */
export const destroyVersions = (tx: Tx, secretId: string, versions: readonly number[], now: Date): Promise<number> =>
  versionsOf(tx, secretId, versions)
    .whereNull('destroyed_at')
    .update({ destroyed_at: now, ciphertext: null, data_key: null, wrapping_key_id: null })

export type ExpiredVersions = { id: string; path: string; revision: number; versions: number[] }

/** The versions that expired before a time, of at most `max` secrets. */
export async function expiredVersions(tx: Knex, before: Date, max: number): Promise<ExpiredVersions[]> {
  const { rows } = await tx.raw<{ rows: ExpiredVersions[] }>(
    `select s.id, s.path, s.revision, array_agg(v.version order by v.version) as versions
       from secret_version v join secret s on s.id = v.secret_id
      where v.expires_at < ? and v.destroyed_at is null group by s.id order by s.id limit ?`,
    [before, max],
  )
  return rows
}

type Version = { path: string; version: number }

export const versionKey = ({ path, version }: Version): string => `${path} ${version}`

/** The keys of those versions that still give access. A deleted version counts, since it can be restored. */
export async function liveVersions(knex: Knex, versions: readonly Version[], now: Date): Promise<Set<string>> {
  if (versions.length === 0) return new Set()
  const { rows } = await knex.raw<{ rows: Version[] }>(
    `select w.path, w.version
       from json_to_recordset(?::json) as w (path text, version int)
       join secret s on s.path = w.path and s.deleted_at is null
       join secret_version v on v.secret_id = s.id and v.version = w.version
      where v.destroyed_at is null and v.retired_at is null and (v.expires_at is null or v.expires_at > ?)`,
    [JSON.stringify(versions.map(({ path, version }) => ({ path, version }))), now],
  )
  return new Set(rows.map(versionKey))
}
