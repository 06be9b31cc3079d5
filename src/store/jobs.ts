/** Advisory locks and state of background jobs: across all replicas one transaction holds a lock. */
import type { Knex } from './database.ts'

/** Takes the lock unless another transaction holds it. Does not wait. */
export async function tryLock(tx: Knex.Transaction, lock: number): Promise<boolean> {
  const { rows } = await tx.raw<{ rows: { locked: boolean }[] }>('select pg_try_advisory_xact_lock(?) as locked', [
    lock,
  ])
  return rows[0]?.locked === true
}

/** The progress of a job, for the replica that runs it next. */
export async function readJobState(tx: Knex, name: string): Promise<unknown> {
  const row: { state: unknown } | undefined = await tx('job_state').where({ name }).first('state')
  return row?.state
}

/** Returns true when no replica has run the job for `restMs`, and records this run. A clock that was set back does not prolong the wait. */
export const takeTurn = (knex: Knex, name: string, lock: number, now: Date, restMs: number): Promise<boolean> =>
  knex.transaction(async (tx) => {
    if (!(await tryLock(tx, lock))) return false
    const state = await readJobState(tx, name)
    const at = typeof state === 'object' && state !== null && 'at' in state ? Number(state.at) : -Infinity
    if (Math.abs(now.getTime() - at) < restMs) return false
    await writeJobState(tx, name, { at: now.getTime() })
    return true
  })

export const writeJobState = (tx: Knex.Transaction, name: string, state: object): Promise<unknown> =>
  tx('job_state')
    .insert({ name, state: JSON.stringify(state) })
    .onConflict('name')
    .merge()
