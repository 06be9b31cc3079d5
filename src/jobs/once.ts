/** A change that one of many replicas makes, however many see that it is due. */
import type { Action } from '../audit/entry.ts'
import type { Change, Recorder } from '../audit/record.ts'
import type { Opening } from '../audit/seal.ts'
import { newId } from '../names/id.ts'
import type { Knex } from '../store/database.ts'
import { tryLock } from '../store/jobs.ts'
import type { Snapshot } from '../store/snapshot.ts'

/** Thrown inside a transaction, so that it rolls back: nothing is left to do, or another replica is doing it. */
const nothing = new Error('nothing to do')

export type OnceParts = {
  recorder: Pick<Recorder, 'change'>
  now: () => Date
  randomBytes: (size: number) => Buffer
}

export const openBySystem = (
  action: Action,
  { now, randomBytes }: Pick<OnceParts, 'now' | 'randomBytes'>,
): Opening => ({
  requestId: newId('req', randomBytes),
  action,
  time: now(),
  actor: { kind: 'system' },
})

/**
 * Runs a change of our own.
 * @param run looks again at what is due, in the transaction; answers nothing where that is gone
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
      if (!change) throw nothing
      return change
    })
    return true
  } catch (error) {
    if (error === nothing) return false
    throw error
  }
}

/** The same under an advisory lock that the transaction holds; skips where another has it. */
export const changeOnce = (
  parts: OnceParts,
  lock: number,
  action: Action,
  run: (tx: Knex.Transaction, now: Date) => Promise<Change<undefined> | undefined>,
): Promise<boolean> =>
  changeIf(parts, action, async (tx, _, now) => ((await tryLock(tx, lock)) ? run(tx, now) : undefined))
