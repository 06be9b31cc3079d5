/** Lists leases, by their ids. */
import { databaseName } from '../../secrets/leases/entry.ts'
import type { Database } from '../../store/database.ts'
import { type LeaseState, listLeases } from '../../store/leases.ts'
import { byName } from '../../store/registrations.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import type { NamedLease } from './find.ts'

type Filter = { database?: string; session?: string; state?: LeaseState }

export const createListLeases =
  ({ db }: { db: Pick<Database, 'knex'> }) =>
  async (
    snapshot: Snapshot,
    { database, session, state }: Filter,
    { after = '', max }: { after: string | undefined; max: number },
  ): Promise<NamedLease[]> => {
    const filter = {
      ...(database !== undefined && { databaseId: byName(snapshot.databases, database)?.id ?? '' }),
      ...(session !== undefined && { sessionId: session }),
      ...(state !== undefined && { state }),
    }
    const leases = await listLeases(db.knex, filter, after, max)
    return leases.map((lease) => ({ lease, database: databaseName(snapshot, lease.databaseId) }))
  }
