/** Begins a rotation to the value of an earlier version. */
import { newPlan, policyOf } from '../../secrets/rotation/policy.ts'
import { rollBack } from '../../secrets/rotation/roll-back.ts'
import { readPolicy } from '../../store/rotation-policies.ts'
import { lockRunning } from '../../store/rotations.ts'
import { type ChangeAction, operatorName } from '../context.ts'
import { lockedSecret } from '../secrets/state.ts'
import { type RotationActionParts, type SecretRotation, readRotation } from './state.ts'

export const createRollBack =
  (parts: RotationActionParts): ChangeAction<{ path: string; toVersion: number }, SecretRotation> =>
  async (context, tx, snapshot, { path, toVersion }) => {
    const secret = await lockedSecret(tx, path)
    const policy = await readPolicy(tx, secret.id)
    const running = await lockRunning(tx, secret.id)
    const plan = newPlan(policy && policyOf(policy))
    const requestedBy = operatorName(context)
    const { time: now } = context
    const { entry } = await rollBack(tx, parts, { secret, running, plan, toVersion, requestedBy, snapshot, now })
    return { result: await readRotation(tx, parts, secret, snapshot, now), entry }
  }
