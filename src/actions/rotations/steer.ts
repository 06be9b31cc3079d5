/** Changes a running rotation: its deadline, a consumer that it waits for, its end. */
import { refuse } from '../../errors.ts'
import { type Verb, steer } from '../../secrets/rotation/steer.ts'
import { lockRunning } from '../../store/rotations.ts'
import { type ChangeAction, operatorName } from '../context.ts'
import { lockedSecret } from '../secrets/state.ts'
import { type RotationActionParts, type SecretRotation, readRotation } from './state.ts'

export const createSteer =
  (parts: RotationActionParts): ChangeAction<{ path: string; verb: Verb }, SecretRotation> =>
  async (context, tx, snapshot, { path, verb }) => {
    const secret = await lockedSecret(tx, path)
    const running = await lockRunning(tx, secret.id)
    if (!running) throw refuse('conflict', { detail: 'no rotation of this secret runs' })
    const { time: now } = context
    const requestedBy = operatorName(context)
    const entries = await steer(tx, parts, { secret, running, requestedBy, snapshot, now }, verb)
    return { result: await readRotation(tx, parts, secret, snapshot, now), ...entries }
  }
