/** A change that one of many replicas makes, however many see that it is due. */
import type { Action } from '../audit/entry.ts'
import type { Change, Recorder } from '../audit/record.ts'
import type { Opening } from '../audit/seal.ts'
import { newId } from '../names/id.ts'
import type { Knex } from '../store/database.ts'
import { tryLock } from '../store/jobs.ts'

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
 * Runs a change under an advisory lock that the transaction holds; skips where another has it.
 * @param run looks again at what is due, now that it has the lock; answers nothing where that is gone
 * @returns whether the change was made here
 */
export async function changeOnce(
  { recorder, ...parts }: OnceParts,
  lock: number,
  action: Action,
  run: (tx: Knex.Transaction, now: Date) => Promise<Change<undefined> | undefined>,
): Promise<boolean> {
  const open = openBySystem(action, parts)
  try {
    await recorder.change(open, async (tx) => {
      if (!(await tryLock(tx, lock))) throw nothing
      const change = await run(tx, open.time)
      if (!change) throw nothing
      return change
    })
    return true
  } catch (error) {
    if (error === nothing) return false
    throw error
  }
}
