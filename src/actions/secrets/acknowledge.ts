/** Records that a consumer uses a version that it fetched: rotations may wait for it. */
import { refuse } from '../../errors.ts'
import type { SecretPath } from '../../names/secret-path.ts'
import { secretResource } from '../../secrets/entry.ts'
import { ackVersion } from '../../store/consumers.ts'
import type { ChangeAction } from '../context.ts'
import { secretCaller } from './reader.ts'
import { secretOf } from './state.ts'

type Input = { path: SecretPath; version: number }

/** @throws Refusal `token_type`, `not_granted` before anything says whether it exists, `not_found` */
export const acknowledgeSecret: ChangeAction<Input> = async ({ caller, time }, tx, snapshot, { path, version }) => {
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
