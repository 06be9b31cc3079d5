/** The rotation of a secret as it stands: its policy, its rotations, and how many consumers the running one waits for. */
import { refuse } from '../../errors.ts'
import type { RotationParts } from '../../secrets/rotation/begin.ts'
import { RotatorError } from '../../secrets/rotators/rotator.ts'
import type { Database, Knex } from '../../store/database.ts'
import { type RotationPolicyRow, readPolicy } from '../../store/rotation-policies.ts'
import { type RotationRow, listRotations } from '../../store/rotations.ts'
import type { SecretRow } from '../../store/rows.ts'
import type { Snapshot } from '../../store/snapshot.ts'

export type RotationActionParts = RotationParts & { db: Pick<Database, 'knex'> }

/** `rotations`: the last ones, newest first. */
export type SecretRotation = {
  secret: SecretRow
  policy?: RotationPolicyRow
  rotations: readonly RotationRow[]
  waitingFor?: number
}

const maxRotations = 11

export async function readRotation(
  knex: Knex,
  { consumersOf }: Pick<RotationParts, 'consumersOf'>,
  secret: SecretRow,
  snapshot: Snapshot,
  now: Date,
): Promise<SecretRotation> {
  const policy = await readPolicy(knex, secret.id)
  const rotations = await listRotations(knex, secret.id, maxRotations)
  const [last] = rotations
  const state = { secret, ...(policy && { policy }), rotations }
  if (!last || !['issued', 'waiting', 'held'].includes(last.state)) return state
  const consumers = await consumersOf(secret, last, snapshot, now, knex)
  return { ...state, waitingFor: consumers.filter((consumer) => consumer.waitedFor).length }
}

/** Tells the operator why a rotator cannot make a value. @throws Refusal `impossible` */
export async function refusingFaults<T>(rotation: Promise<T>): Promise<T> {
  try {
    return await rotation
  } catch (error) {
    throw error instanceof RotatorError ? refuse('impossible', { detail: error.message }) : error
  }
}
