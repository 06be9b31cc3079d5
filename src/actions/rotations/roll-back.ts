/** Begins a rotation to the value of an earlier version. */
import type { Change } from '../../audit/record.ts'
import { newPlan, policyOf } from '../../secrets/rotation/policy.ts'
import { rollBack } from '../../secrets/rotation/roll-back.ts'
import type { Knex } from '../../store/database.ts'
import { readPolicy } from '../../store/rotation-policies.ts'
import { lockRunning } from '../../store/rotations.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import { type Context, operatorName } from '../context.ts'
import { lockedSecret } from '../secrets/live.ts'
import { type RotationActionParts, type SecretRotation, readRotation } from './state.ts'

export const createRollBack =
  (parts: RotationActionParts) =>
  async (
    context: Context,
    tx: Knex.Transaction,
    snapshot: Snapshot,
    { path, toVersion }: { path: string; toVersion: number },
  ): Promise<Change<SecretRotation>> => {
    const secret = await lockedSecret(tx, snapshot, path)
    const policy = await readPolicy(tx, secret.id)
    const running = await lockRunning(tx, secret.id)
    const plan = newPlan(policy && policyOf(policy))
    const requestedBy = operatorName(context)
    const { time: now } = context
    const { entry } = await rollBack(tx, parts, { secret, running, plan, toVersion, requestedBy, snapshot, now })
    return { result: await readRotation(tx, parts, secret, snapshot, now), entry }
  }
