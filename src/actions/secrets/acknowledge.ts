/** Records that a consumer uses a version that it fetched: rotations may wait for it. */
import type { Change } from '../../audit/record.ts'
import { refuse } from '../../errors.ts'
import type { SecretPath } from '../../names/secret-path.ts'
import { secretResource } from '../../secrets/entry.ts'
import type { Knex } from '../../store/database.ts'
import { ackVersion } from '../../store/consumers.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import type { Context } from '../context.ts'
import { secretOf } from './live.ts'
import { secretCaller } from './reader.ts'

/** @throws Refusal `token_type`, `not_granted` before anything says whether it exists, `not_found` */
export async function acknowledgeSecret(
  { caller, time }: Context,
  tx: Knex.Transaction,
  snapshot: Snapshot,
  { path, version }: { path: SecretPath; version: number },
): Promise<Change<undefined>> {
  if (caller.kind !== 'session') throw refuse('token_type')
  const { may, holder, actor } = secretCaller({ caller }, snapshot)
  if (!may('read', path))
    throw refuse('not_granted', { errors: [{ pointer: '/path/path', detail: 'is not granted to the caller' }] })
  const secret = secretOf(snapshot, path.path)
  return {
    result: undefined,
    entry: { resource: secretResource(secret), detail: { version }, ...(actor && { actor }) },
    // The group commit locks these rows too, and takes the head lock before them.
    async placed() {
      if ((await ackVersion(tx, { secret: secret.id, version, holder }, time)) === 0) throw refuse('not_found')
    },
  }
}
