/** Retires the versions before the live one: when every consumer has moved, or as the policy says at the deadline. */
import type { EntryPart } from '../audit/entry.ts'
import type { Change } from '../audit/record.ts'
import { secretResource } from '../secrets/entry.ts'
import { rotatorOf, valueOf } from '../secrets/rotation/begin.ts'
import type { Consumer } from '../secrets/rotation/consumers.ts'
import { endOlder, namesOf } from '../secrets/rotation/outcome.ts'
import { type Plan, planOf } from '../secrets/rotation/policy.ts'
import { RotatorError } from '../secrets/rotators/rotator.ts'
import type { Knex } from '../store/database.ts'
import { type RotationRow, lockRunning, postponeCheck, updateRotation } from '../store/rotations.ts'
import type { SecretRow } from '../store/rows.ts'
import { findSecret } from '../store/secrets.ts'
import { listVersions } from '../store/secret-versions.ts'
import { changeIf } from './once.ts'
import { type Due, type RotationJobParts, attempt, secretUnderLock } from './rotation-attempt.ts'

/** No further version is ended after this time: well within a claim (rotation-attempt.ts). */
const maxMs = 30_000
/** A rotation that waits for long is checked less often. */
const maxCheckMs = 15_000

type Verdict =
  | { do: 'wait' }
  /** The deadline has passed: `hold` keeps the versions before, `alert` records it and goes on waiting. */
  | { do: 'hold' | 'alert'; left: Consumer[] }
  | { do: 'retire'; why: 'moved' | 'deadline'; left: Consumer[] }

function judge({ deadlineAt }: Pick<RotationRow, 'deadlineAt'>, plan: Plan, left: Consumer[], now: Date): Verdict {
  if (left.length === 0) return { do: 'retire', why: 'moved', left }
  if (!deadlineAt || deadlineAt > now) return { do: 'wait' }
  if (plan.onDeadline === 'retire') return { do: 'retire', why: 'deadline', left }
  if (plan.onDeadline === 'hold') return { do: 'hold', left }
  return plan.alerted ? { do: 'wait' } : { do: 'alert', left }
}

export function createEnding(parts: RotationJobParts): (due: Due) => Promise<void> {
  const { db, now, keyring, rotators, consumersOf, snapshots, log } = parts

  /** Judges the consumers again in the transaction of the entry: an operator may have changed the rotation meanwhile. */
  async function decide(
    due: Due,
    action: 'secret.rotation' | 'secret.retire',
    expected: Verdict['do'],
    carryOut: (
      tx: Knex.Transaction,
      secret: SecretRow,
      row: RotationRow,
      verdict: Verdict,
      at: Date,
    ) => Promise<Change<undefined>>,
  ): Promise<boolean> {
    return changeIf(parts, action, async (tx, snapshot, at) => {
      const secret = await secretUnderLock(tx, due)
      const row = await lockRunning(tx, due.secretId)
      if (row?.id !== due.id || row.state !== due.state || planOf(row).retiring) return undefined
      const consumers = await consumersOf(secret, row, snapshot, at, tx)
      const verdict = judge(row, planOf(row), waitedFor(consumers), at)
      return verdict.do === expected ? carryOut(tx, secret, row, verdict, at) : undefined
    })
  }

  const overdue = (secret: SecretRow, row: RotationRow, how: 'hold' | 'alert', left: Consumer[]): EntryPart => ({
    resource: secretResource(secret),
    detail: { do: how, why: 'deadline', rotation: row.id, holders: left.length, heldBy: namesOf(left) },
  })

  async function atDeadline(due: Due, how: 'hold' | 'alert'): Promise<void> {
    const recorded = await decide(due, 'secret.rotation', how, async (tx, secret, row, verdict, at) => {
      const left = 'left' in verdict ? verdict.left : []
      const { nextAttemptAt: _, ...rest } = row
      if (how === 'hold') await updateRotation(tx, { ...rest, state: 'held', updatedAt: at })
      else await updateRotation(tx, { ...row, definition: { ...planOf(row), alerted: true }, updatedAt: at })
      return { result: undefined, entry: overdue(secret, row, how, left) }
    })
    if (recorded) log.warn('rotation.deadline', { secret: due.path, rotation: due.id, note: how })
  }

  /** Retires the versions where there is no target; otherwise records the intent, before any effect. */
  async function beginEnd(due: Due): Promise<void> {
    const isRecorded = await decide(due, 'secret.retire', 'retire', async (tx, secret, row, verdict, at) => {
      if (verdict.do !== 'retire') throw new Error('decided otherwise')
      const plan = planOf(row)
      const retiring = { why: verdict.why, holders: namesOf(verdict.left) }
      if (!rotatorOf(rotators, plan).effects)
        return { result: undefined, ...(await endOlder(tx, secret, row, retiring, at)) }
      const definition: Plan = { ...plan, retiring }
      await updateRotation(tx, { ...row, state: 'waiting', definition, attempts: 0, nextAttemptAt: at, updatedAt: at })
      const detail = { rotation: row.id, why: verdict.why, holders: verdict.left.length, fromVersion: row.fromVersion }
      return { result: undefined, entry: { outcome: 'intended', resource: secretResource(secret), detail } }
    })
    if (isRecorded && !rotators.get(due.rotator)?.effects) logRetired(due)
  }

  const logRetired = (due: Due): void => {
    log.info('rotation.retired', { secret: due.path, rotation: due.id })
  }

  /** The versions to end at the target, the last first. The log calls them retired afterwards. */
  async function versionsToEnd({ secretId, fromVersion, toVersion }: Due, { alike = [] }: Plan): Promise<number[]> {
    const before = (await listVersions(db.knex, secretId)).filter(
      ({ version, staged, retiredAt }) => version < toVersion && !staged && !retiredAt && !alike.includes(version),
    )
    return [...new Set([fromVersion, ...before.map((row) => row.version)])]
  }

  async function endAtTarget(due: Due, retiring: NonNullable<Plan['retiring']>): Promise<void> {
    const isDone = await attempt(parts, due, {
      action: 'secret.retire',
      async effect(claimed, plan) {
        const { id, path, secretId, fromVersion, toVersion, attempts } = claimed
        const { retire } = rotatorOf(rotators, plan)
        const place = { id: secretId, path }
        if (!retire) return
        const remaining = await valueOf(db.knex, keyring, place, toVersion)
        if (!remaining) throw new Error(`version ${toVersion}, which a rotation made live, has no value`)
        const effect = { config: plan.rotator, rotationId: id, path, attempt: attempts, remaining }
        // A clock that is set forward must not look like a slow target.
        const began = performance.now()
        for (const version of await versionsToEnd(claimed, plan)) {
          if (performance.now() - began > maxMs) throw new RotatorError('slow', 'the target is slow')
          const ended = await valueOf(db.knex, keyring, place, version)
          // A destroyed value is unknown; of the last version, the target still knows the account.
          if (ended || version === fromVersion) await retire({ ...effect, ...(ended && { ended }) })
        }
      },
      done: (tx, secret, claimed, at) => endOlder(tx, secret, claimed, retiring, at),
    })
    if (isDone) logRetired(due)
  }

  return async (due) => {
    const plan = planOf(due)
    if (plan.retiring) return endAtTarget(due, plan.retiring)
    const time = now()
    const snapshot = snapshots.current()
    const secret = await findSecret(db.knex, due.path)
    if (secret?.version !== due.toVersion) return
    const verdict = judge(due, plan, waitedFor(await consumersOf(secret, due, snapshot, time)), time)
    if (verdict.do === 'retire') return beginEnd(due)
    if (verdict.do !== 'wait') return atDeadline(due, verdict.do)
    const age = time.getTime() - due.startedAt.getTime()
    await postponeCheck(db.knex, due, time, new Date(time.getTime() + Math.min(Math.max(age / 20, 1000), maxCheckMs)))
  }
}

const waitedFor = (consumers: readonly Consumer[]): Consumer[] => consumers.filter((consumer) => consumer.waitedFor)
