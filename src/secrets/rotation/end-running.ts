/** Ends a running rotation that a rollback or a superseding rotation replaces. */
import { refuse } from '../../errors.ts'
import type { Knex } from '../../store/database.ts'
import { type RotationRow, updateRotation } from '../../store/rotations.ts'
import { planOf } from './policy.ts'

const attemptUnderWay = 'an attempt is under way: ask again in a moment'

/** @throws Refusal `conflict` */
export function refuseWhileWorking({ lockedUntil }: RotationRow, now: Date): void {
  if (lockedUntil && lockedUntil > now) throw refuse('conflict', { detail: attemptUnderWay, retryAfterSeconds: 5 })
}

/**
 * The next rotation waits for the consumers of its versions. The caller holds the lock of its row.
 * @throws Refusal `conflict` before its value is live, during an attempt, or while older versions are being ended
 */
export async function endRunning(
  tx: Knex.Transaction,
  running: RotationRow,
  state: 'rolled_back' | 'superseded',
  now: Date,
): Promise<void> {
  if (running.state === 'pending')
    throw refuse('conflict', { detail: 'its value is not the live one yet: cancel it (:rotation)' })
  refuseWhileWorking(running, now)
  if (planOf(running).retiring)
    throw refuse('conflict', { detail: 'the versions before are being ended: ask again when they are' })
  const { lockedUntil: _, nextAttemptAt: __, ...rest } = running
  await updateRotation(tx, { ...rest, state, updatedAt: now, endedAt: now })
}
