/**
 * Runs rotations: begins scheduled ones, sets new values at their targets, waits for consumers, ends the versions before. Every
 * replica runs it, and claims each rotation for a while. The claim of a replica that dies expires; the next replica repeats
 * the effect with the same value.
 */
import { lateMs, planOf } from '../secrets/rotation/policy.ts'
import { countOverdue } from '../store/rotation-policies.ts'
import { countRotations, dueRotations } from '../store/rotations.ts'
import type { RotationJobParts } from './rotation-attempt.ts'
import { createEnding } from './rotation-ending.ts'
import { createSetting } from './rotation-setting.ts'
import { createSchedules } from './rotation-schedules.ts'
import type { Job } from './runner.ts'

/** Rotations in one run, and at a time: a target that does not answer delays few others. */
const max = 200
const concurrency = 16

export function rotation(parts: RotationJobParts): Job {
  const { db, now, metrics } = parts
  const beginDue = createSchedules(parts)
  const set = createSetting(parts)
  const end = createEnding(parts)

  async function carryOn(): Promise<unknown[]> {
    const due = await dueRotations(db.knex, now(), max)
    const failures: unknown[] = []
    const worker = async (): Promise<void> => {
      for (let row = due.shift(); row; row = due.shift()) {
        try {
          // The claim checks the state again.
          if (row.state !== 'pending') await end(row)
          else if (planOf(row).undoing) await set.back(row)
          else await set.forward(row)
        } catch (error) {
          failures.push(error)
        }
      }
    }
    await Promise.all(Array.from({ length: concurrency }, worker))
    return failures
  }

  return {
    name: 'rotation',
    everySeconds: 1,
    async run() {
      const failures = [...(await beginDue()), ...(await carryOn())]
      const time = now()
      const overdue = await countOverdue(db.knex, new Date(time.getTime() - lateMs))
      metrics.rotations(await countRotations(db.knex), overdue, time)
      // One failure must not stop the others.
      if (failures.length > 0) throw failures[0]
    },
  }
}
