/** The order of appends, as a test wants it: Postgres hands the head lock to its waiters in the order that they came. */
import { setTimeout as pause } from 'node:timers/promises'
import type { Knex } from '../../src/store/database.ts'
import type { TestPurser } from './purser.ts'

/** How many of the database's connections wait for a lock. */
export async function waiters(knex: Knex): Promise<number> {
  const waiting = `select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`
  return (await knex.raw<{ rows: unknown[] }>(waiting)).rows.length
}

/** Sends requests of which each waits for the head lock before the next is sent, then lets go of it. */
export async function inOrder<T extends unknown[]>(
  { knex }: Pick<TestPurser, 'knex'>,
  ...requests: { [N in keyof T]: () => Promise<T[N]> }
): Promise<T> {
  const tx = await knex.transaction()
  await tx('log_head').forUpdate().first()
  const answers: Promise<unknown>[] = []
  try {
    for (const ask of requests) {
      answers.push(ask())
      const until = Date.now() + 1500
      while ((await waiters(knex)) < answers.length && Date.now() < until) await pause(10)
    }
  } finally {
    await tx.commit()
  }
  return (await Promise.all(answers)) as T
}
