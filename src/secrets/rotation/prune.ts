import type { Knex } from '../../store/database.ts'
import type { SecretRow } from '../../store/rows.ts'
import { destroyVersions, listVersions } from '../../store/secret-versions.ts'

/**
 * Destroys the oldest versions beyond the secret's `maxVersions`.
 * @param needed versions that a running rotation needs
 * @returns the destroyed versions
 */
export async function pruneVersions(
  tx: Knex.Transaction,
  secret: Pick<SecretRow, 'id' | 'maxVersions'>,
  now: Date,
  needed: readonly number[] = [],
): Promise<number[]> {
  const rows = await listVersions(tx, secret.id)
  const beyond = rows
    .filter((row) => !row.staged && !row.destroyedAt)
    .slice(secret.maxVersions)
    .map((row) => row.version)
    .filter((version) => !needed.includes(version))
  await destroyVersions(tx, secret.id, beyond, now)
  return beyond
}
