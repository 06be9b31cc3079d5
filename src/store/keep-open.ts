/** Keeps a transaction alive during work outside the database. */
import { setTimeout as pause } from 'node:timers/promises'
import type { Knex } from './database.ts'

/** Milliseconds between statements. Postgres ends a transaction that is idle for 2 s (store/postgres.ts). */
const keepAliveMs = 500

/** Waits for work such as the generation of an RSA key on a busy machine, and keeps the transaction alive meanwhile. */
export async function keepOpen<T>(tx: Knex.Transaction, work: Promise<T>): Promise<T> {
  const completion = work.then(
    () => true,
    () => true,
  )
  while (!(await Promise.race([completion, pause(keepAliveMs, false, { ref: false })]))) await tx.raw('select 1')
  return work
}
