/** One attempt at an effect: claimed before, recorded after, whatever its outcome. */
import type { Action, EntryPart } from '../audit/entry.ts'
import type { Change } from '../audit/record.ts'
import { secretResource } from '../secrets/entry.ts'
import type { RotationParts } from '../secrets/rotation/begin.ts'
import { giveUp } from '../secrets/rotation/outcome.ts'
import { type Plan, planOf } from '../secrets/rotation/policy.ts'
import { RotatorError } from '../secrets/rotators/rotator.ts'
import type { Knex } from '../store/database.ts'
import { type RotationRow, claimRotation, lockClaimed, updateRotation } from '../store/rotations.ts'
import type { SecretRow } from '../store/rows.ts'
import { lockSecret } from '../store/secrets.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import { type JobParts, changeIf } from './once.ts'

export type RotationJobParts = JobParts &
  RotationParts & { metrics: Pick<Metrics, 'rotations' | 'rotationAttemptFailed'> }

export type Due = RotationRow & { path: string }

/** Longer than every effect with its time-outs. */
const claimMs = 120_000
const maxDelay = 3600

/** Seconds until the next attempt: exponential backoff with jitter, an hour at most. */
export function delayAfter(attempts: number, randomBytes: (size: number) => Buffer): number {
  const whole = Math.min(2 ** Math.min(attempts, 20), maxDelay)
  return whole / 2 + (randomBytes(2).readUInt16BE() / 2 ** 16) * (whole / 2)
}

/** The secret of a rotation, under its row's lock. It exists: it cannot be destroyed while a rotation runs. */
export async function secretUnderLock(
  tx: Knex.Transaction,
  { path, secretId }: Pick<Due, 'path' | 'secretId'>,
): Promise<SecretRow> {
  const secret = await lockSecret(tx, path)
  if (secret?.id !== secretId) throw new Error(`the secret ${path} of a running rotation is gone`)
  return secret
}

export type Attempt = {
  action: Action
  effect: (claimed: Due, plan: Plan) => Promise<void>
  /** Runs in the transaction of the entry that records the success. */
  done: (
    tx: Knex.Transaction,
    secret: SecretRow,
    claimed: RotationRow,
    now: Date,
  ) => Promise<Pick<Change<undefined>, 'entry' | 'changed'>>
}

/** @returns whether the attempt was made here and succeeded */
export async function attempt(parts: RotationJobParts, due: Due, { action, effect, done }: Attempt): Promise<boolean> {
  const { db, now, log, metrics } = parts
  const time = now()
  const claimed = await claimRotation(db.knex, due, time, new Date(time.getTime() + claimMs))
  if (!claimed) return false
  const attempted: Due = { ...claimed, path: due.path }
  const plan = planOf(claimed)
  try {
    await effect(attempted, plan)
  } catch (error) {
    metrics.rotationAttemptFailed(action)
    log.warn('rotation.attempt_failed', { secret: due.path, rotation: due.id, count: attempted.attempts, err: error })
    await recordFailure(parts, attempted, action, error)
    return false
  }
  return changeIf(parts, action, async (tx, _, at) => {
    const locked = await lockClaimed(tx, attempted)
    if (!locked) return undefined
    const secret = await secretUnderLock(tx, attempted)
    return { result: undefined, ...(await done(tx, secret, locked, at)) }
  })
}

/** Purser's own words: the server log has other errors. */
const messageOf = (error: unknown): string =>
  error instanceof RotatorError ? error.message : 'internal: the attempt failed; the server log says more'

async function recordFailure(parts: RotationJobParts, due: Due, action: Action, error: unknown): Promise<void> {
  const lastError = messageOf(error)
  const { hopeless, untouched } = error instanceof RotatorError ? error : { hopeless: false, untouched: false }
  await changeIf(parts, action, async (tx, _, at) => {
    const locked = await lockClaimed(tx, due)
    if (!locked) return undefined
    const entry = (detail: Record<string, unknown>): EntryPart => ({
      outcome: 'failed',
      resource: secretResource({ id: due.secretId, path: due.path }),
      detail: { rotation: due.id, attempt: due.attempts, error: lastError, ...detail },
    })
    // Neither this attempt nor an earlier one set anything: there is nothing to undo.
    if (hopeless && locked.state === 'pending' && (untouched || locked.attempts === 1)) {
      await giveUp(tx, await secretUnderLock(tx, due), locked, lastError, at)
      return { result: undefined, entry: entry({ state: 'failed' }) }
    }
    const seconds = hopeless ? maxDelay : delayAfter(due.attempts, parts.randomBytes)
    const nextAttemptAt = new Date(at.getTime() + Math.ceil(seconds * 1000))
    const { lockedUntil: __, ...rest } = locked
    await updateRotation(tx, { ...rest, lastError, nextAttemptAt, updatedAt: at })
    return { result: undefined, entry: entry({ nextAttemptAt: nextAttemptAt.toISOString() }) }
  })
}
