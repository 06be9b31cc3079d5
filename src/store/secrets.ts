/**
 * Secrets and their versions. What a read may answer is decided from the snapshot; the rows here hold ciphertexts. Of a
 * version all but its wrapping and its times is written once.
 */
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
