/** What is over of secrets: versions that expired, and who held what in sessions that are long gone. */
import type { Knex } from './database.ts'

export type ExpiredVersions = { id: string; path: string; revision: number; versions: number[] }

/** Of at most so many secrets; those of a removed secret have no value any more. */
export async function expiredBefore(tx: Knex, before: Date, max: number): Promise<ExpiredVersions[]> {
  const { rows } = await tx.raw<{ rows: ExpiredVersions[] }>(
    `select s.id, s.path, s.revision, array_agg(v.version order by v.version) as versions
       from secret_version v join secret s on s.id = v.secret_id
      where v.expires_at < ? and v.destroyed_at is null group by s.id order by s.id limit ?`,
    [before, max],
  )
  return rows
}

/**
 * Rows of consumers whose session ended before a time and who fetched nothing since; of readers without a session the
 * last read alone counts. What the group commit has locked is left for later: nobody waits for a sweep.
 * @returns how many went; fewer than `most` when none are left
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
