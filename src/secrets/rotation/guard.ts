/** What may not happen to a secret beside its rotations. */
import { refuse } from '../../errors.ts'
import type { Knex } from '../../store/database.ts'
import { lockRunning } from '../../store/rotations.ts'
import type { SecretRow } from '../../store/rows.ts'
import type { Rotators } from '../rotators/rotator.ts'

const advice = 'wait for it, or retire, cancel or roll it back (:rotation, :rollback)'

/**
 * Its row is locked, so no rotation begins meanwhile.
 * @param touched versions; all of them unless given
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

/** A value that nobody set at the target would be the live one and open nothing. @throws Refusal `conflict` */
export function refuseBesideTarget(rotators: Rotators, { rotator }: Pick<SecretRow, 'rotator'>): void {
  if (rotator === undefined || rotators.get(rotator)?.effects === false) return
  throw refuse('conflict', { detail: `the rotator ${rotator} sets this secret at its target: use :rotate` })
}
