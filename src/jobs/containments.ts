/** Carries containments on: those whose replica died, and those that wait for rotations and leases. */
import type { CarryOut } from '../actions/containments/carry-out.ts'
import { dueContainments } from '../store/containments.ts'
import type { JobParts } from './once.ts'
import type { Job } from './runner.ts'

export type ContainmentJobParts = Pick<JobParts, 'db' | 'now'> & { carryOut: CarryOut }

export const containments = ({ db, now, carryOut }: ContainmentJobParts): Job => ({
  name: 'containments',
  everySeconds: 1,
  async run() {
    const failures: unknown[] = []
    for (const id of await dueContainments(db.knex, now())) {
      // One failure must not stop the others.
      await carryOut(id).catch((error: unknown) => failures.push(error))
    }
    if (failures.length > 0) throw failures[0]
  },
})
