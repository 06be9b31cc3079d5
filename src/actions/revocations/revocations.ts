import { listBlocks } from '../../store/blocks.ts'
import type { Database, Knex } from '../../store/database.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import type { Context } from '../context.ts'
import type { Selection } from './find.ts'
import { releaseRevocation } from './release.ts'
import { revoke } from './revoke.ts'

export type RevocationActionParts = { db: Pick<Database, 'knex'>; randomBytes: (size: number) => Buffer }
export const createRevocationActions = ({ db, randomBytes }: RevocationActionParts) => ({
  /** The blocks in force. */
  list: ({ time }: Pick<Context, 'time'>) => listBlocks(db.knex, time),
  create: ({ time: now }: Pick<Context, 'time'>, tx: Knex.Transaction, snapshot: Snapshot, selection: Selection) =>
    revoke(tx, snapshot, selection, { now, randomBytes }),
  release: releaseRevocation,
})
