/** Secrets without their values. Decisions about reads use the snapshot; secret-versions.ts has the ciphertexts. */
import { columnsOf } from './columns.ts'
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

export const insertSecret = (tx: Tx, row: SecretRow): Promise<unknown> => tx('secret').insert(columnsOf(row))

/** Updates everything but the path and the time of creation. */
export const updateSecret = (tx: Tx, row: SecretRow): Promise<unknown> =>
  tx('secret').where({ id: row.id }).update(columns(row))

/** Marks the row as deleted. Its path is free again. */
export async function removeSecret(tx: Tx, id: string, now: Date): Promise<void> {
  await tx('secret').where({ id }).update({ deleted_at: now })
}

/** The highest version that any secret of this path had, staged ones included: a path never reuses a version number. */
export async function lastVersionOf(tx: Knex, path: string): Promise<number> {
  const { rows } = await tx.raw<{ rows: { last: number }[] }>(
    `select greatest(coalesce(max(s.version), 0), coalesce(max(v.version), 0)) as last
       from secret s left join secret_version v on v.secret_id = s.id where s.path = ?`,
    [path],
  )
  return rows[0]?.last ?? 0
}

/** Locks the row. Returns its revision, or undefined for a removed secret. */
export async function lockSecret(tx: Tx, id: string): Promise<number | undefined> {
  const row: { revision: number } | undefined = await tx('secret')
    .where({ id })
    .whereNull('deleted_at')
    .forUpdate()
    .first('revision')
  return row?.revision
}

/** The paths of secrets that changed after a revision, removed ones included, each with its newest change. */
export async function changedSecrets(
  knex: Knex,
  since: number,
  { paths, prefix }: { paths: readonly string[]; prefix?: string },
): Promise<{ path: string; changed: number }[]> {
  const rows: { path: string; changed: string }[] = await knex('secret')
    .where('changed', '>', since)
    .where((query) => {
      void query.whereIn('path', [...paths])
      // A path may contain characters that LIKE interprets as a pattern.
      if (prefix !== undefined) void query.orWhereRaw('left(path, ?::int) = ?', [prefix.length, prefix])
    })
    .groupBy('path')
    .select('path')
    .max({ changed: 'changed' })
  return rows.map(({ path, changed }) => ({ path, changed: Number(changed) }))
}
