/** Counts failed attempts across all replicas. */
import type { Knex } from './database.ts'

/**
 * Counts one attempt. A window begins with the first attempt after the previous window, by the clock of the database.
 * @returns the attempts in this window, including this one, and the seconds until its end
 */
export async function countAttempt(
  knex: Knex,
  door: string,
  windowSeconds = 60,
): Promise<{ attempts: number; secondsLeft: number }> {
  const { rows } = await knex.raw<{ rows: { tries: number; left: string }[] }>(
    `with bounds as (select clock_timestamp() - ? * interval '1 second' as since)
     insert into tries (door, tries, since) values (?, 1, clock_timestamp())
     on conflict (door) do update set
       tries = case when tries.since > (select since from bounds) then tries.tries + 1 else 1 end,
       since = case when tries.since > (select since from bounds) then tries.since else clock_timestamp() end
     returning tries, extract(epoch from since - clock_timestamp()) + ? as left`,
    [windowSeconds, door, windowSeconds],
  )
  const row = rows[0]
  if (!row) throw new Error('the attempt was not counted')
  return { attempts: row.tries, secondsLeft: Number(row.left) }
}

/** Takes back attempts that succeeded. */
export const uncountAttempts = (knex: Knex, doors: readonly string[]): Promise<unknown> =>
  knex('tries').whereIn('door', doors).where('tries', '>', 0).decrement('tries', 1)
