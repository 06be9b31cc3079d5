/** A transaction that waits for something else than the database. */
import { setTimeout as pause } from 'node:timers/promises'
import type { Knex } from './database.ts'

/** Postgres ends a transaction that is idle for 2 s (store/postgres.ts). */
const askEvery = 500

/** Waits for work beside the database, such as finding an RSA key on a busy machine, and keeps the transaction alive. */
export async function keepOpen<T>(tx: Knex.Transaction, work: Promise<T>): Promise<T> {
  const settled = work.then(
    () => true,
    () => true,
  )
  while (!(await Promise.race([settled, pause(askEvery, false, { ref: false })]))) await tx.raw('select 1')
  return work
}
