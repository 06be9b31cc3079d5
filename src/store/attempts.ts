/** Counts failed attempts across all replicas. */
import type { Knex } from './database.ts'

/**
 * Counts one attempt. A minute begins with the first attempt after the previous minute, by the clock of the database.
 * @returns the attempts in this minute, including this one, and the seconds until its end
 */
export async function countAttempt(knex: Knex, door: string): Promise<{ attempts: number; secondsLeft: number }> {
  const { rows } = await knex.raw<{ rows: { tries: number; left: string }[] }>(
    `insert into tries (door, tries, since) values (?, 1, clock_timestamp())
     on conflict (door) do update set
       tries = case when tries.since > clock_timestamp() - interval '1 minute' then tries.tries + 1 else 1 end,
       since = case when tries.since > clock_timestamp() - interval '1 minute' then tries.since else clock_timestamp() end
     returning tries, extract(epoch from since - clock_timestamp()) + 60 as left`,
    [door],
  )
  const row = rows[0]
  if (!row) throw new Error('the attempt was not counted')
  return { attempts: row.tries, secondsLeft: Number(row.left) }
}
