/** Which holders fetched which versions of a secret. `log_append` writes the fetches and the acknowledgements. */
import { type Columns, membersOf } from './columns.ts'
import type { Knex } from './database.ts'
import type { StoredSession } from './sessions.ts'

export type HeldVersion = { version: number; fetchedAt: Date; ackedAt?: Date }

/** A holder of versions of a secret: a session, or an operator without a session. */
export type HolderRow = {
  /** The id of a session, or `operator:<name>`. */
  holder: string
  /** Newest fetch first. */
  held: HeldVersion[]
  /** Absent for an operator, and for a session whose row was swept after its end. */
  session?: { id: string } & HolderSession
}

type HolderSession = Pick<
  StoredSession,
  'instance' | 'spiffeId' | 'workloadId' | 'attestorId' | 'selectors' | 'expiresAt'
> & { endedAt?: Date; endReason?: string }

type Fetched = HeldVersion & { holder: string; sessionId?: string } & HolderSession

export async function readHolders(knex: Knex, secretId: string): Promise<HolderRow[]> {
  const rows: Columns<Fetched>[] = await knex('secret_consumer as c')
    .leftJoin('session as s', 's.id', 'c.holder')
    .where('c.secret_id', secretId)
    .orderBy([
      { column: 'c.fetched_at', order: 'desc' },
      { column: 'c.version', order: 'desc' },
    ])
    .select(
      'c.holder',
      'c.version',
      'c.fetched_at',
      'c.acked_at',
      's.id as session_id',
      's.instance',
      's.spiffe_id',
      's.workload_id',
      's.attestor_id',
      's.selectors',
      's.expires_at',
      's.ended_at',
      's.end_reason',
    )
  const holders = new Map<string, HolderRow>()
  for (const row of rows) {
    const { holder: name, version, fetchedAt, ackedAt, sessionId: id, ...session } = membersOf<Fetched>(row)
    const heldVersion = { version, fetchedAt, ...(ackedAt && { ackedAt }) }
    const holder = holders.get(name)
    if (holder) holder.held.push(heldVersion)
    else
      holders.set(name, { holder: name, held: [heldVersion], ...(id !== undefined && { session: { id, ...session } }) })
  }
  return [...holders.values()]
}

/** Versions that a rotation retired. */
export const retiredVersions = (knex: Knex, secretId: string): Promise<number[]> =>
  knex('secret_version').where({ secret_id: secretId }).whereNotNull('retired_at').pluck('version')

/**
 * Deletes rows of consumers whose session ended before a time and that fetched nothing since. For holders without a
 * session only the last fetch counts. Rows that the group commit has locked are skipped, so that no append waits.
 * @returns the number of deleted rows; fewer than `max` when none are left
 */
export async function deleteConsumers(knex: Knex, before: Date, max: number): Promise<number> {
  const { rows } = await knex.raw<{ rows: unknown[] }>(
    `with over as (
       select c.secret_id, c.holder, c.version
         from secret_consumer c left join session s on s.id = c.holder
        where c.fetched_at < ? and (s.id is null or s.expires_at < ?)
        limit ? for update of c skip locked)
     delete from secret_consumer c using over
      where c.secret_id = over.secret_id and c.holder = over.holder and c.version = over.version returning 1 as gone`,
    [before, before, max],
  )
  return rows.length
}
