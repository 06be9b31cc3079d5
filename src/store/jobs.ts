/** Advisory locks of jobs: the transaction that has one is the only one of all replicas. */
import type { Knex } from './database.ts'

/** Takes it unless another transaction has it, and doesn't wait. */
export async function tryLock(tx: Knex.Transaction, lock: number): Promise<boolean> {
  const { rows } = await tx.raw<{ rows: { taken: boolean }[] }>('select pg_try_advisory_xact_lock(?) as taken', [lock])
  return rows[0]?.taken === true
}

/** Where a job went on, for whichever replica runs it next. */
export async function readJobState(tx: Knex, name: string): Promise<unknown> {
  const row: { state: unknown } | undefined = await tx('job_state').where({ name }).first('state')
  return row?.state
}

/** True for the one that runs it now: nobody has for so many milliseconds. A clock that was set back waits no longer. */
export const takeTurn = (knex: Knex, name: string, lock: number, now: Date, restMs: number): Promise<boolean> =>
  knex.transaction(async (tx) => {
    if (!(await tryLock(tx, lock))) return false
    const kept = await readJobState(tx, name)
    const at = typeof kept === 'object' && kept !== null && 'at' in kept ? Number(kept.at) : -Infinity
    if (Math.abs(now.getTime() - at) < restMs) return false
    await writeJobState(tx, name, { at: now.getTime() })
    return true
  })

export const writeJobState = (tx: Knex.Transaction, name: string, state: object): Promise<unknown> =>
  tx('job_state')
    .insert({ name, state: JSON.stringify(state) })
    .onConflict('name')
    .merge()
