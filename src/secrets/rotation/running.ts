/** What a running rotation of a secret forbids, and how a rollback or a superseding rotation ends it. */
import { refuse } from '../../errors.ts'
import type { Knex } from '../../store/database.ts'
import { type RotationRow, lockRunning, updateRotation } from '../../store/rotations.ts'
import type { SecretRow } from '../../store/rows.ts'
import type { Rotators } from '../rotators/rotator.ts'
import { planOf } from './policy.ts'

const advice = 'wait for it, or retire, cancel or roll it back (:rotation, :rollback)'

/**
 * The caller holds the lock of the secret's row: no rotation begins meanwhile.
 * @param versions versions that the change concerns; all of them by default
 * @throws Refusal `conflict`
 */
export async function refuseWhileRotating(
  tx: Knex.Transaction,
  { id }: Pick<SecretRow, 'id'>,
  versions?: readonly number[],
): Promise<void> {
  const running = await lockRunning(tx, id)
  if (!running) return
  if (versions && !versions.includes(running.fromVersion) && !versions.includes(running.toVersion)) return
  throw rotationRuns()
}

export const rotationRuns = (): Error => refuse('conflict', { detail: `a rotation of this secret runs: ${advice}` })

/** A written value would become live without being set at the target. @throws Refusal `conflict` */
export function refuseBesideTarget(rotators: Rotators, { rotator }: Pick<SecretRow, 'rotator'>): void {
  if (rotator === undefined || rotators.get(rotator)?.effects === false) return
  throw refuse('conflict', { detail: `the rotator ${rotator} sets this secret at its target: use :rotate` })
}

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
