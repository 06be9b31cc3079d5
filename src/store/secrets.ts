/**
 * Secrets and their versions. What a read may answer is decided from the snapshot; the rows here hold ciphertexts. Of a
 * version all but its wrapping and its times is written once.
 */
import type { Knex } from './database.ts'
import type { SealedValue, SecretRow } from './rows.ts'

type Tx = Knex.Transaction

export type VersionSource = 'put' | 'patch' | 'rotation' | 'rollback' | 'import'

export type VersionRow = {
  secretId: string
  version: number
  /** Absent once it was destroyed. */
  sealed?: SealedValue
  /** Made by a rotation that has not made it current. */
  staged: boolean
  source: VersionSource
  /** `operator:<name>`, or `system`. */
  createdBy: string
  createdAt: Date
  expiresAt?: Date
  deletedAt?: Date
  /** A rotation ended it at its target: it opens nothing any more. */
  retiredAt?: Date
  destroyedAt?: Date
}

type VersionRecord = {
  secret_id: string
  version: number
  wrapping_key_id: string | null
  data_key: Buffer | null
  ciphertext: Buffer | null
  staged: boolean
  source: VersionSource
  created_by: string
  created_at: Date
  expires_at: Date | null
  deleted_at: Date | null
  retired_at: Date | null
  destroyed_at: Date | null
}

const toVersion = (row: VersionRecord): VersionRow => ({
  secretId: row.secret_id,
  version: row.version,
  ...(row.wrapping_key_id !== null &&
    row.data_key !== null &&
    row.ciphertext !== null && {
      sealed: { wrappingKeyId: row.wrapping_key_id, dataKey: row.data_key, ciphertext: row.ciphertext },
    }),
  staged: row.staged,
  source: row.source,
  createdBy: row.created_by,
  createdAt: row.created_at,
  ...(row.expires_at !== null && { expiresAt: row.expires_at }),
  ...(row.deleted_at !== null && { deletedAt: row.deleted_at }),
  ...(row.retired_at !== null && { retiredAt: row.retired_at }),
  ...(row.destroyed_at !== null && { destroyedAt: row.destroyed_at }),
})

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

export const insertSecret = (tx: Tx, row: SecretRow): Promise<unknown> =>
  tx('secret').insert({ id: row.id, path: row.path, created_at: row.createdAt, ...columns(row) })

/** Everything but its path and its beginning. */
export const updateSecret = (tx: Tx, row: SecretRow): Promise<unknown> =>
  tx('secret').where({ id: row.id }).update(columns(row))

/** The row stays without values; its path is free again. */
export async function removeSecret(tx: Tx, id: string, now: Date): Promise<void> {
  await tx('secret').where({ id }).update({ deleted_at: now })
}

/** The last version that any secret of that path had, staged ones too: versions of a path never come twice. */
export async function lastVersionOf(tx: Knex, path: string): Promise<number> {
  const { rows } = await tx.raw<{ rows: { last: number }[] }>(
    `select greatest(coalesce(max(s.version), 0), coalesce(max(v.version), 0)) as last
       from secret s left join secret_version v on v.secret_id = s.id where s.path = ?`,
    [path],
  )
  return rows[0]?.last ?? 0
}

export const insertVersion = (tx: Tx, row: VersionRow & { sealed: SealedValue }): Promise<unknown> =>
  tx('secret_version').insert({
    secret_id: row.secretId,
    version: row.version,
    wrapping_key_id: row.sealed.wrappingKeyId,
    data_key: row.sealed.dataKey,
    ciphertext: row.sealed.ciphertext,
    staged: row.staged,
    source: row.source,
    created_by: row.createdBy,
    created_at: row.createdAt,
    expires_at: row.expiresAt ?? null,
  })

/** The named versions of secrets, with their ciphertexts. */
export async function readVersions(
  knex: Knex,
  wanted: readonly { secretId: string; version: number }[],
): Promise<VersionRow[]> {
  if (wanted.length === 0) return []
  const rows: VersionRecord[] = await knex('secret_version').whereIn(
    ['secret_id', 'version'],
    wanted.map((one) => [one.secretId, one.version]),
  )
  return rows.map(toVersion)
}

const described = ['secret_id', 'version', 'staged', 'source', 'created_by', 'created_at', 'expires_at', 'deleted_at', 'retired_at', 'destroyed_at'] // prettier-ignore

/** Every version of a secret, newest first, without its value: a hundred of them may be 19 MiB. */
export async function listVersions(knex: Knex, secretId: string): Promise<Omit<VersionRow, 'sealed'>[]> {
  const rows: VersionRecord[] = await knex('secret_version')
    .where({ secret_id: secretId })
    .orderBy('version', 'desc')
    .select(described)
  return rows.map((row) => toVersion({ ...row, wrapping_key_id: null, data_key: null, ciphertext: null }))
}

type Ended = Pick<VersionRow, 'deletedAt' | 'destroyedAt'>

/** By id, the secrets whose current version was deleted or destroyed. */
export async function readEnds(knex: Knex, secrets: readonly SecretRow[]): Promise<Map<string, Ended>> {
  if (secrets.length === 0) return new Map()
  const rows: Pick<VersionRecord, 'secret_id' | 'deleted_at' | 'destroyed_at'>[] = await knex('secret_version')
    .whereIn(
      ['secret_id', 'version'],
      secrets.map(({ id, version }) => [id, version]),
    )
    .whereRaw('coalesce(deleted_at, destroyed_at) is not null')
    .select('secret_id', 'deleted_at', 'destroyed_at')
  return new Map(
    rows.map((row) => [
      row.secret_id,
      {
        ...(row.deleted_at !== null && { deletedAt: row.deleted_at }),
        ...(row.destroyed_at !== null && { destroyedAt: row.destroyed_at }),
      },
    ]),
  )
}

const those = (tx: Tx, secretId: string, versions: readonly number[]) =>
  tx('secret_version').where({ secret_id: secretId }).whereIn('version', versions)

/** Answers how many were there and not deleted. */
export const deleteVersions = (tx: Tx, secretId: string, versions: readonly number[], now: Date): Promise<number> =>
  those(tx, secretId, versions).whereNull('deleted_at').whereNull('destroyed_at').update({ deleted_at: now })

export const undeleteVersions = (tx: Tx, secretId: string, versions: readonly number[]): Promise<number> =>
  those(tx, secretId, versions).whereNotNull('deleted_at').whereNull('destroyed_at').update({ deleted_at: null })

/** Value and data key go; that the version was there stays. */
export const destroyVersions = (tx: Tx, secretId: string, versions: readonly number[], now: Date): Promise<number> =>
  those(tx, secretId, versions)
    .whereNull('destroyed_at')
    .update({ destroyed_at: now, ciphertext: null, data_key: null, wrapping_key_id: null })

/** Under the head lock (`placed`), where the group commit locks these rows too. Answers 0 where it never fetched that version; said again, the first time stays. */
export const ackVersion = (
  tx: Tx,
  { secret, version, holder }: { secret: string; version: number; holder: string },
  now: Date,
): Promise<number> =>
  tx('secret_consumer')
    .where({ secret_id: secret, version, holder })
    .update({ acked_at: tx.raw('coalesce(acked_at, ?::timestamptz)', [now]) })

/** Takes the row's lock. Answers its revision; nothing for one that was removed. */
export async function lockSecret(tx: Tx, id: string): Promise<number | undefined> {
  const row: { revision: number } | undefined = await tx('secret')
    .where({ id })
    .whereNull('deleted_at')
    .forUpdate()
    .first('revision')
  return row?.revision
}

/** Names whose rows changed after a revision, removed ones too, with the newest revision that changed each. */
export async function changedSecrets(
  knex: Knex,
  since: number,
  { paths, prefix }: { paths: readonly string[]; prefix?: string },
): Promise<{ path: string; changed: number }[]> {
  const rows: { path: string; changed: string }[] = await knex('secret')
    .where('changed', '>', since)
    .where((either) => {
      void either.whereIn('path', [...paths])
      // Paths may hold what LIKE would read as a pattern.
      if (prefix !== undefined) void either.orWhereRaw('left(path, ?::int) = ?', [prefix.length, prefix])
    })
    .groupBy('path')
    .select('path')
    .max({ changed: 'changed' })
  return rows.map(({ path, changed }) => ({ path, changed: Number(changed) }))
}
