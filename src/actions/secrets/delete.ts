/** Deletes the live version: it can be brought back (undelete.ts). */
import { refuseWhileRotating } from '../../secrets/rotation/running.ts'
import type { SecretRow } from '../../store/rows.ts'
import { deleteVersions } from '../../store/secret-versions.ts'
import { type ChangeAction, checkRevision } from '../context.ts'
import { type PathRevision, lockedSecret, touched } from './state.ts'

export const deleteSecret: ChangeAction<PathRevision, SecretRow> = async ({ time }, tx, _, { path, expected }) => {
  const secret = await lockedSecret(tx, path)
  checkRevision(expected, secret.version)
  const versions = [secret.version]
  await refuseWhileRotating(tx, secret, versions)
  return touched(tx, secret, { versions, count: await deleteVersions(tx, secret.id, versions, time) }, time)
}
