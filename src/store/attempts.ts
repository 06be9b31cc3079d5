/** How often something was tried in vain, counted for all replicas together. */
import type { Knex } from './database.ts'

/**
 * Counts one try. A minute begins with the first try after the last one; by the database's clock, which all share.
 * @returns how many this minute has had with it, and the seconds that are left of it
 */
export async function countAttempt(knex: Knex, door: string): Promise<{ tries: number; secondsLeft: number }> {
  const { rows } = await knex.raw<{ rows: { tries: number; left: string }[] }>(
    `insert into tries (door, tries, since) values (?, 1, clock_timestamp())
     on conflict (door) do update set
       tries = case when tries.since > clock_timestamp() - interval '1 minute' then tries.tries + 1 else 1 end,
       since = case when tries.since > clock_timestamp() - interval '1 minute' then tries.since else clock_timestamp() end
     returning tries, extract(epoch from since - clock_timestamp()) + 60 as left`,
    [door],
  )
  const row = rows[0]
  if (!row) throw new Error('a try was not counted')
  return { tries: row.tries, secondsLeft: Number(row.left) }
}
