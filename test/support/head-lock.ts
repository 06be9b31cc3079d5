/** Controls the order of appends: Postgres grants the head lock to its waiters in the order of their arrival. */
import { setTimeout as pause } from 'node:timers/promises'
import type { Knex } from '../../src/store/database.ts'
import type { TestPurser } from './purser.ts'

/** The number of the database's connections that wait for a lock. */
export async function waiters(knex: Knex): Promise<number> {
  const waiting = `select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`
  return (await knex.raw<{ rows: unknown[] }>(waiting)).rows.length
}

/** Sends requests, each once the one before waits for the head lock, then releases the lock. */
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
