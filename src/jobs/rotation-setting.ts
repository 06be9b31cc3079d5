/** Sets the staged value at the target and makes it live. For a cancelled rotation, sets the live value again. */
import { secretResource } from '../secrets/entry.ts'
import { rotatorOf, valueOf } from '../secrets/rotation/begin.ts'
import { giveUp, makeLive } from '../secrets/rotation/outcome.ts'
import { type Due, type RotationJobParts, attempt } from './rotation-attempt.ts'

export function createSetting(parts: RotationJobParts) {
  const { db, keyring, rotators, log } = parts

  async function valuesOf({ secretId, path, fromVersion, toVersion }: Due) {
    const place = { id: secretId, path }
    const staged = await valueOf(db.knex, keyring, place, toVersion)
    if (!staged) throw new Error(`the staged version ${toVersion} of a rotation has no value`)
    return { staged, current: await valueOf(db.knex, keyring, place, fromVersion) }
  }

  const effectOf = ({ id, path, attempts }: Due) => ({ rotationId: id, path, attempt: attempts })

  async function forward(due: Due): Promise<void> {
    const isDone = await attempt(parts, due, {
      action: 'secret.rotate',
      async effect(claimed, plan) {
        const { issue } = rotatorOf(rotators, plan)
        if (!issue) return
        const { staged, current } = await valuesOf(claimed)
        const { toVersion: version } = claimed
        await issue({ ...effectOf(claimed), config: plan.rotator, version, staged, ...(current && { current }) })
      },
      done: makeLive,
    })
    if (isDone) log.info('rotation.issued', { secret: due.path, rotation: due.id, revision: due.toVersion })
  }

  async function back(due: Due): Promise<void> {
    const isDone = await attempt(parts, due, {
      action: 'secret.rotation',
      async effect(claimed, plan) {
        const { issue, retire, refusesAgain } = rotatorOf(rotators, plan)
        const { staged, current } = await valuesOf(claimed)
        if (!current) return
        const { rotator: config } = plan
        const effect = { ...effectOf(claimed), config }
        // The rotator never changed a value that it refuses.
        if (refusesAgain?.(current, { config }) === undefined)
          await issue?.({ ...effect, version: claimed.fromVersion, staged: current, current: staged })
        await retire?.({ ...effect, ended: staged, remaining: current })
      },
      async done(tx, secret, claimed, now) {
        await giveUp(tx, secret, claimed, 'cancelled', now)
        return {
          entry: {
            outcome: 'completed',
            resource: secretResource(secret),
            detail: { do: 'cancel', rotation: claimed.id, attempt: claimed.attempts },
          },
        }
      },
    })
    if (isDone) log.info('rotation.cancelled', { secret: due.path, rotation: due.id })
  }

  return { forward, back }
}
