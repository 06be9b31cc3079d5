/** A change that only one of the replicas makes, however many see that it is due. */
import type { Action } from '../audit/entry.ts'
import type { Change, Recorder } from '../audit/record.ts'
import { type Opening, systemOpening } from '../audit/seal.ts'
import type { Database, Knex } from '../store/database.ts'
import { tryLock } from '../store/jobs.ts'
import type { Snapshot, Snapshots } from '../store/snapshot.ts'
import type { Logger } from '../telemetry/log.ts'

/** Thrown inside a transaction to roll it back: nothing is left to do, or another replica does it. */
const nothingToDo = new Error('nothing to do')

/** The parts of every job. */
export type JobParts = {
  db: Pick<Database, 'knex'>
  snapshots: Pick<Snapshots, 'current'>
  recorder: Pick<Recorder, 'change'>
  now: () => Date
  randomBytes: (size: number) => Buffer
  log: Pick<Logger, 'info' | 'warn'>
}

export type OnceParts = Pick<JobParts, 'recorder' | 'now' | 'randomBytes'>

export const openBySystem = (action: Action, { now, randomBytes }: Pick<OnceParts, 'now' | 'randomBytes'>): Opening =>
  systemOpening({ action, time: now(), randomBytes })

/**
 * Runs a change of Purser itself.
 * @param run checks again, in the transaction, what is due; undefined where nothing is
 * @returns whether the change was made here
 */
export async function changeIf(
  { recorder, ...parts }: OnceParts,
  action: Action,
  run: (tx: Knex.Transaction, snapshot: Snapshot, now: Date) => Promise<Change<undefined> | undefined>,
): Promise<boolean> {
  const open = openBySystem(action, parts)
  try {
    await recorder.change(open, async (tx, snapshot) => {
      const change = await run(tx, snapshot, open.time)
      if (!change) throw nothingToDo
      return change
    })
    return true
  } catch (error) {
    if (error === nothingToDo) return false
    throw error
  }
}

/** Like `changeIf`, under an advisory lock of the transaction; skips where another replica holds it. */
export const changeOnce = (
  parts: OnceParts,
  lock: number,
  action: Action,
  run: (tx: Knex.Transaction, now: Date) => Promise<Change<undefined> | undefined>,
): Promise<boolean> =>
  changeIf(parts, action, async (tx, _, now) => ((await tryLock(tx, lock)) ? run(tx, now) : undefined))
