/** Changes that a rotation of the secret forbids. */
import { refuse } from '../../errors.ts'
import type { Knex } from '../../store/database.ts'
import { lockRunning } from '../../store/rotations.ts'
import type { SecretRow } from '../../store/rows.ts'
import type { Rotators } from '../rotators/rotator.ts'

const advice = 'wait for it, or retire, cancel or roll it back (:rotation, :rollback)'

/**
 * The caller holds the lock of the secret's row: no rotation begins meanwhile.
 * @param touched versions that the change concerns; all of them by default
 * @throws Refusal `conflict`
 */
export async function refuseWhileRotating(
  tx: Knex.Transaction,
  { id }: Pick<SecretRow, 'id'>,
  touched?: readonly number[],
): Promise<void> {
  const running = await lockRunning(tx, id)
  if (!running) return
  if (touched && !touched.includes(running.fromVersion) && !touched.includes(running.toVersion)) return
  throw refuse('conflict', { detail: `a rotation of this secret runs: ${advice}` })
}

/** A written value would become live without being set at the target. @throws Refusal `conflict` */
export function refuseBesideTarget(rotators: Rotators, { rotator }: Pick<SecretRow, 'rotator'>): void {
  if (rotator === undefined || rotators.get(rotator)?.effects === false) return
  throw refuse('conflict', { detail: `the rotator ${rotator} sets this secret at its target: use :rotate` })
}
