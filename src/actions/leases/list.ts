/** Lists leases, by their ids. */
import { boundOf } from '../../authorize/caller.ts'
import { spiffeIdRoot } from '../../names/bound.ts'
import { databaseName } from '../../secrets/leases/entry.ts'
import type { Database } from '../../store/database.ts'
import { type LeaseState, listLeases } from '../../store/leases.ts'
import { byName } from '../../store/registrations.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import type { Context } from '../context.ts'
import type { NamedLease } from './find.ts'

type Filter = { database?: string; session?: string; state?: LeaseState }

export const createListLeases =
  ({ db }: { db: Pick<Database, 'knex'> }) =>
  async (
    { caller }: Pick<Context, 'caller'>,
    snapshot: Snapshot,
    { database, session, state }: Filter,
    { after = '', max }: { after: string | undefined; max: number },
  ): Promise<NamedLease[]> => {
    const bound = boundOf(caller)
    const filter = {
      ...(bound && {
        within: { databaseIds: [...snapshot.databases.keys()], spiffeIds: spiffeIdRoot(snapshot, bound) },
      }),
      ...(database !== undefined && { databaseId: byName(snapshot.databases, database)?.id ?? '' }),
      ...(session !== undefined && { sessionId: session }),
      ...(state !== undefined && { state }),
    }
    const leases = await listLeases(db.knex, filter, after, max)
    return leases.map((lease) => ({ lease, database: databaseName(snapshot, lease.databaseId) }))
  }
