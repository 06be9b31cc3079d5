/** Deletes the live version: it can be brought back (undelete.ts). */
import type { Change } from '../../audit/record.ts'
import { refuseWhileRotating } from '../../secrets/rotation/guard.ts'
import type { Knex } from '../../store/database.ts'
import type { SecretRow } from '../../store/rows.ts'
import { deleteVersions } from '../../store/secret-versions.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import { type Context, checkRevision } from '../context.ts'
import { lockedSecret } from './live.ts'
import { touched } from './touch.ts'

export async function deleteSecret(
  { time }: Context,
  tx: Knex.Transaction,
  snapshot: Snapshot,
  { path, expected }: { path: string; expected: number },
): Promise<Change<SecretRow>> {
  const secret = await lockedSecret(tx, snapshot, path)
  checkRevision(expected, secret.version)
  const versions = [secret.version]
  await refuseWhileRotating(tx, secret, versions)
  return touched(tx, secret, { versions, count: await deleteVersions(tx, secret.id, versions, time) }, time)
}
