/** Begins rotations by the schedules of their policies. */
import type { EntryPart } from '../audit/entry.ts'
import { Refusal } from '../errors.ts'
import { secretResource } from '../secrets/entry.ts'
import { beginRotation, prepareValue } from '../secrets/rotation/begin.ts'
import { lateMs, newPlan, policyOf } from '../secrets/rotation/policy.ts'
import { nextRun } from '../secrets/rotation/schedule.ts'
import { RotatorError } from '../secrets/rotators/rotator.ts'
import { takeTurn } from '../store/jobs.ts'
import { type DuePolicy, advancePolicy, duePolicies } from '../store/rotation-policies.ts'
import { findSecret, lockSecret } from '../store/secrets.ts'
import { changeIf } from './once.ts'
import { type RotationJobParts } from './rotation-attempt.ts'

const max = 200
/** "plrt" in ASCII. */
const lock = 0x706c7274
const reportLateEveryMs = 3600_000

export function createSchedules(parts: RotationJobParts): () => Promise<unknown[]> {
  const { db, now, log, randomBytes } = parts

  const nextOf = (policy: DuePolicy, after: Date): Date | undefined => {
    const { schedule } = policyOf(policy)
    return schedule && nextRun(schedule, after, randomBytes)
  }

  /** Whether the window has passed. Without a window, a rotation begins late. */
  function isMissed(policy: DuePolicy, at: Date): boolean {
    const window = policyOf(policy).schedule?.windowSeconds
    return window !== undefined && at.getTime() > policy.nextAt.getTime() + window * 1000
  }

  /** Advances the policy to its next time in the same transaction: other replicas find nothing due. */
  async function begin(policy: DuePolicy): Promise<boolean> {
    const plan = newPlan(policyOf(policy))
    const live = await findSecret(db.knex, policy.path)
    const prepared = live && (await prepareValue(db.knex, parts, live, plan, now()))
    return changeIf(parts, 'secret.rotate', async (tx, snapshot, at) => {
      const secret = await lockSecret(tx, policy.path)
      // It was destroyed since, with its policy.
      if (secret?.id !== policy.secretId) return undefined
      if (!(await advancePolicy(tx, policy.secretId, policy.nextAt, nextOf(policy, at)))) return undefined
      const beginning = { secret, plan, requestedBy: 'schedule', snapshot, now: at, ...(prepared && { prepared }) }
      const { entry } = await beginRotation(tx, parts, beginning)
      return { result: undefined, entry }
    })
  }

  /** Skips a rotation that cannot begin, and records why. */
  const skip = (policy: DuePolicy, error: string): Promise<boolean> =>
    changeIf(parts, 'secret.rotate', async (tx, _, at) => {
      const next = nextOf(policy, at)
      if (!(await advancePolicy(tx, policy.secretId, policy.nextAt, next))) return undefined
      log.warn('rotation.left_out', { secret: policy.path, note: error })
      return { result: undefined, entry: failed(policy, error, next && { nextAt: next.toISOString() }) }
    })

  /** Records once an hour, for all replicas, that a rotation waits. */
  async function reportLate(policy: DuePolicy, { info }: Refusal): Promise<void> {
    const time = now()
    if (time.getTime() - policy.nextAt.getTime() < lateMs) return
    if (!(await takeTurn(db.knex, `late-rotation/${policy.secretId}`, lock, time, reportLateEveryMs))) return
    const error = `waits: ${info.detail ?? 'something stands in its way'}`
    log.warn('rotation.late', { secret: policy.path, note: error })
    const entry = failed(policy, error, { dueAt: policy.nextAt.toISOString() })
    await changeIf(parts, 'secret.rotate', async () => ({ result: undefined, entry }))
  }

  async function beginOrSkip(policy: DuePolicy): Promise<void> {
    if (isMissed(policy, now())) {
      await skip(policy, policy.runs ? 'missed: the rotation before still runs' : 'missed: its window has passed')
      return
    }
    if (policy.runs) return
    // An operator deleted the value: a schedule does not give readers another.
    if (policy.deleted) return void (await skip(policy, 'deleted: its live version was deleted'))
    try {
      await begin(policy)
    } catch (error) {
      // A conflict ends when a consumer moves. A rotator that cannot make a value tries again at the next time.
      if (error instanceof Refusal && error.code === 'conflict') return reportLate(policy, error)
      const reason = skipReason(error)
      if (reason === undefined) throw error
      await skip(policy, reason)
    }
  }

  return async () => {
    const failures: unknown[] = []
    for (const policy of await duePolicies(db.knex, now(), max)) {
      try {
        await beginOrSkip(policy)
      } catch (error) {
        failures.push(error)
      }
    }
    return failures
  }
}

const failed = ({ secretId, path }: DuePolicy, error: string, more: object = {}): EntryPart => ({
  outcome: 'failed',
  resource: secretResource({ id: secretId, path }),
  detail: { requestedBy: 'schedule', error, ...more },
})

/** Why there is no value to rotate to; undefined for errors that a retry may mend. */
function skipReason(error: unknown): string | undefined {
  if (error instanceof RotatorError) return error.message
  if (!(error instanceof Refusal) || !['too_large', 'not_available'].includes(error.code)) return undefined
  return `${error.code}: ${error.info.detail ?? 'there can be no value'}`
}
