import type { Knex } from '../../store/database.ts'
import type { SecretRow } from '../../store/rows.ts'
import { destroyVersions, listVersions } from '../../store/secret-versions.ts'

/**
 * Destroys the oldest versions beyond the most that the secret keeps. Answers which.
 * @param kept versions that a running rotation needs
 */
export async function pruneVersions(
  tx: Knex.Transaction,
  secret: Pick<SecretRow, 'id' | 'maxVersions'>,
  now: Date,
  kept: readonly number[] = [],
): Promise<number[]> {
  const rows = await listVersions(tx, secret.id)
  const beyond = rows
    .filter((row) => !row.staged && !row.destroyedAt)
    .slice(secret.maxVersions)
    .map((row) => row.version)
    .filter((version) => !kept.includes(version))
  await destroyVersions(tx, secret.id, beyond, now)
  return beyond
}
