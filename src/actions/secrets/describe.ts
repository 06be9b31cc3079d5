/** Replaces the metadata of a secret. */
import type { Change } from '../../audit/record.ts'
import type { Knex } from '../../store/database.ts'
import type { SecretRow } from '../../store/rows.ts'
import { updateSecret } from '../../store/secrets.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import { type Context, checkRevision } from '../context.ts'
import { lockedSecret } from './live.ts'
import { secretChange } from './state.ts'
import { defaultMaxVersions } from './write.ts'

/** `expected`: the revision of the metadata that the caller read. */
type Input = { path: string; expected: number } & Partial<
  Pick<SecretRow, 'description' | 'labels' | 'maxVersions' | 'managedBy'>
>

export async function describeSecret(
  { time }: Context,
  tx: Knex.Transaction,
  snapshot: Snapshot,
  { path, expected, labels = {}, maxVersions = defaultMaxVersions, ...texts }: Input,
): Promise<Change<SecretRow>> {
  const secret = await lockedSecret(tx, snapshot, path)
  checkRevision(expected, secret.revision)
  const { description: _, managedBy: __, ...rest } = secret
  const row = { ...rest, ...texts, labels, maxVersions, revision: secret.revision + 1, updatedAt: time }
  await updateSecret(tx, row)
  return { result: row, ...secretChange(row) }
}
