/** Removes the rotation policy of a secret. The versions that its rotations made stay. */
import type { Change } from '../../audit/record.ts'
import { refuse } from '../../errors.ts'
import { changedSecret, secretRevision } from '../../secrets/entry.ts'
import type { Knex } from '../../store/database.ts'
import { readPolicy, removePolicy } from '../../store/rotation-policies.ts'
import { lockRunning } from '../../store/rotations.ts'
import { updateSecret } from '../../store/secrets.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import { type Context, checkRevision } from '../context.ts'
import { lockedSecret } from '../secrets/live.ts'

export async function deletePolicy(
  { time }: Context,
  tx: Knex.Transaction,
  snapshot: Snapshot,
  { path, expected }: { path: string; expected: number },
): Promise<Change<undefined>> {
  const secret = await lockedSecret(tx, snapshot, path)
  const old = await readPolicy(tx, secret.id)
  if (!old) throw refuse('not_found', { detail: 'it has no rotation policy' })
  checkRevision(expected, old.revision)
  if (await lockRunning(tx, secret.id)) throw refuse('conflict', { detail: 'a rotation of this secret runs' })
  await removePolicy(tx, secret.id)
  const { rotator: _, ...rest } = secret
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
