import { boundOf } from '../../authorize/caller.ts'
import { hasSpiffeId } from '../../names/bound.ts'
import { listBlocks } from '../../store/blocks.ts'
import type { Database, Knex } from '../../store/database.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import type { Context } from '../context.ts'
import type { Selection } from './find.ts'
import { releaseRevocation } from './release.ts'
import { revoke } from './revoke.ts'

export type RevocationActionParts = { db: Pick<Database, 'knex'>; randomBytes: (size: number) => Buffer }
export const createRevocationActions = ({ db, randomBytes }: RevocationActionParts) => ({
  /** The blocks in force, within the caller's bound. */
  list: async ({ time, caller }: Pick<Context, 'time' | 'caller'>) =>
    (await listBlocks(db.knex, time)).filter(({ spiffeId = '' }) => hasSpiffeId(boundOf(caller), spiffeId)),
  create: (
    { time: now, caller }: Pick<Context, 'time' | 'caller'>,
    tx: Knex.Transaction,
    snapshot: Snapshot,
    selection: Selection,
  ) => revoke(tx, snapshot, selection, { now, randomBytes, bound: boundOf(caller) }),
  release: releaseRevocation,
})
