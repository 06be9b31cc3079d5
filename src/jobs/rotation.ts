/**
 * Carries rotations on: begins those whose time has come, sets new values at their targets, waits for consumers, ends the
 * versions before. Every replica runs it. What one works on it claims for a while, so a replica that dies leaves nothing
 * behind but a claim that runs out; effects are repeated by the next one, with the same value.
 */
import type { RotationParts } from '../secrets/rotation/begin.ts'
import { lateMs, planOf } from '../secrets/rotation/policy.ts'
import type { Database } from '../store/database.ts'
import { countOverdue } from '../store/rotation-policies.ts'
import { countRotations, dueRotations } from '../store/rotations.ts'
import type { Snapshots } from '../store/snapshot.ts'
import type { Logger } from '../telemetry/log.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import type { OnceParts } from './once.ts'
import { createEnding } from './rotation-ending.ts'
import { createSetting } from './rotation-setting.ts'
import { createSchedules } from './rotation-schedules.ts'
import type { Job } from './runner.ts'

export type RotationJobParts = OnceParts &
  RotationParts & {
    db: Pick<Database, 'knex'>
    snapshots: Pick<Snapshots, 'current'>
    log: Pick<Logger, 'info' | 'warn'>
    metrics: Pick<Metrics, 'rotations' | 'rotationAttemptFailed'>
  }

/** Looked at in one run, and at a time: a target that doesn't answer keeps few others waiting. */
const max = 200
const atOnce = 16

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
          // Which state it is in is looked at again once it is claimed.
          if (row.state !== 'pending') await end(row)
          else if (planOf(row).undoing) await set.back(row)
          else await set.forward(row)
        } catch (error) {
          failures.push(error)
        }
      }
    }
    await Promise.all(Array.from({ length: atOnce }, worker))
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
      // One that can't be recorded now doesn't keep the others from theirs.
      if (failures.length > 0) throw failures[0]
    },
  }
}
