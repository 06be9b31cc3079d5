/** Records that a consumer uses a version that it fetched: rotations may wait for it. */
import type { Release } from '../../audit/record.ts'
import { refuse } from '../../errors.ts'
import type { SecretPath } from '../../names/secret-path.ts'
import { secretResource } from '../../secrets/entry.ts'
import type { Database } from '../../store/database.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import type { Context } from '../context.ts'
import { secretCaller } from './reader.ts'
import { secretAt } from './state.ts'

type Input = { path: SecretPath; version: number }

/** @throws Refusal `token_type`, `not_granted` before anything says whether it exists, `not_found` */
export const createAcknowledgeSecret =
  ({ db }: { db: Pick<Database, 'knex'> }) =>
  async (
    { caller }: Pick<Context, 'caller'>,
    snapshot: Snapshot,
    { path, version }: Input,
  ): Promise<Release<undefined>> => {
    if (caller.kind !== 'session') throw refuse('token_type')
    const { may, holder, actor, live } = secretCaller({ caller }, snapshot)
    if (!may('read', path))
      throw refuse('not_granted', { errors: [{ pointer: '/path/path', detail: 'is not granted to the caller' }] })
    const secret = await secretAt(db.knex, path.path)
    return {
      result: undefined,
      entry: { resource: secretResource(secret), detail: { version }, ...(actor && { actor }) },
      effects: { ack: { secret: secret.id, version, holder }, ...live },
      whileClosed: true,
    }
  }
