/** Replaces the metadata of a secret. */
import type { SecretRow } from '../../store/rows.ts'
import { updateSecret } from '../../store/secrets.ts'
import { type ChangeAction, checkRevision } from '../context.ts'
import { lockedSecret, secretChange } from './state.ts'
import { defaultMaxVersions } from './write.ts'

/** `expected`: the revision of the metadata that the caller read. */
type Input = { path: string; expected: number } & Partial<
  Pick<SecretRow, 'description' | 'labels' | 'maxVersions' | 'managedBy'>
>

export const describeSecret: ChangeAction<Input, SecretRow> = async ({ time }, tx, _, input) => {
  const { path, expected, labels = {}, maxVersions = defaultMaxVersions, ...texts } = input
  const secret = await lockedSecret(tx, path)
  checkRevision(expected, secret.revision)
  const { description: __, managedBy: ___, ...rest } = secret
  const row = { ...rest, ...texts, labels, maxVersions, revision: secret.revision + 1, updatedAt: time }
  await updateSecret(tx, row)
  return { result: row, ...secretChange(row) }
}
