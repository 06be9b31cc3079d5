/** Removes the rotation policy of a secret. The versions that its rotations made stay. */
import { refuse } from '../../errors.ts'
import { changedSecret, secretRevision } from '../../secrets/entry.ts'
import { readPolicy, removePolicy } from '../../store/rotation-policies.ts'
import { lockRunning } from '../../store/rotations.ts'
import { updateSecret } from '../../store/secrets.ts'
import { type ChangeAction, checkRevision } from '../context.ts'
import { type PathRevision, lockedSecret } from '../secrets/state.ts'

export const deletePolicy: ChangeAction<PathRevision> = async ({ time }, tx, _, { path, expected }) => {
  const secret = await lockedSecret(tx, path)
  const old = await readPolicy(tx, secret.id)
  if (!old) throw refuse('not_found', { detail: 'it has no rotation policy' })
  checkRevision(expected, old.revision)
  if (await lockRunning(tx, secret.id)) throw refuse('conflict', { detail: 'a rotation of this secret runs' })
  await removePolicy(tx, secret.id)
  const { rotator: __, ...rest } = secret
  const row = { ...rest, revision: secret.revision + 1, updatedAt: time }
  await updateSecret(tx, row)
  return {
    result: undefined,
    entry: {
      resource: secretRevision(row),
      change: { after: { revision: 0 } },
      detail: { do: 'remove', policy: old.revision },
    },
    changed: changedSecret(row),
  }
}
