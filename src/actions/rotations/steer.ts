/** Changes a running rotation: its deadline, a consumer that it waits for, its end. */
import type { Change } from '../../audit/record.ts'
import { refuse } from '../../errors.ts'
import { type Verb, steer } from '../../secrets/rotation/steer.ts'
import type { Knex } from '../../store/database.ts'
import { lockRunning } from '../../store/rotations.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import { type Context, operatorName } from '../context.ts'
import { lockedSecret } from '../secrets/live.ts'
import { type RotationActionParts, type SecretRotation, readRotation } from './state.ts'

export const createSteer =
  (parts: RotationActionParts) =>
  async (
    context: Context,
    tx: Knex.Transaction,
    snapshot: Snapshot,
    { path, verb }: { path: string; verb: Verb },
  ): Promise<Change<SecretRotation>> => {
    const secret = await lockedSecret(tx, snapshot, path)
    const running = await lockRunning(tx, secret.id)
    if (!running) throw refuse('conflict', { detail: 'no rotation of this secret runs' })
    const { time: now } = context
    const requestedBy = operatorName(context)
    const entries = await steer(tx, parts, { secret, running, requestedBy, snapshot, now }, verb)
    return { result: await readRotation(tx, parts, secret, snapshot, now), ...entries }
  }
