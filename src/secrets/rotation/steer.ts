/** What an operator may do to a running rotation: each verb, and the states in which it is allowed. */
import type { EntryPart } from '../../audit/entry.ts'
import { refuse } from '../../errors.ts'
import type { Knex } from '../../store/database.ts'
import { type RotationRow, updateRotation } from '../../store/rotations.ts'
import type { SecretRow } from '../../store/rows.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import { secretResource } from '../entry.ts'
import { type RotationParts, rotatorOf } from './begin.ts'
import { giveUp, namesOf } from './outcome.ts'
import { type Plan, planOf } from './policy.ts'
import { rollBack } from './roll-back.ts'
import { refuseWhileWorking } from './running.ts'

export type Verb =
  { do: 'extend'; seconds: number } | { do: 'excuse'; holder: string } | { do: 'retire' | 'hold' | 'cancel' }

/** Rows are locked. */
type Subject = { secret: SecretRow; running: RotationRow; requestedBy: string; snapshot: Snapshot; now: Date }

type Steered = { entry: EntryPart; more?: EntryPart[] }

const conflict = (detail: string): Error => refuse('conflict', { detail })

/** @throws Refusal `conflict` where the rotation's state does not allow the verb, `impossible` for an unknown holder */
export async function steer(
  tx: Knex.Transaction,
  parts: RotationParts,
  subject: Subject,
  verb: Verb,
): Promise<Steered> {
  const { secret, running, snapshot, now } = subject
  const plan = planOf(running)
  const entry = (more: Record<string, unknown> = {}): EntryPart => ({
    resource: secretResource(secret),
    detail: { do: verb.do, rotation: running.id, state: running.state, ...more },
  })
  const write = (row: Partial<RotationRow>) => updateRotation(tx, { ...running, updatedAt: now, ...row })

  switch (verb.do) {
    case 'extend': {
      if (!running.deadlineAt) throw conflict('its deadline begins when the new version is the live one')
      const from = Math.max(running.deadlineAt.getTime(), now.getTime())
      const deadlineAt = new Date(from + verb.seconds * 1000)
      const state = running.state === 'held' ? 'waiting' : running.state
      const { alerted: _, ...rest } = plan
      await write({ deadlineAt, state, definition: rest, nextAttemptAt: now })
      return { entry: entry({ deadlineAt: deadlineAt.toISOString() }) }
    }
    case 'excuse': {
      const consumers = await parts.consumersOf(secret, running, snapshot, now, tx)
      if (!consumers.some((consumer) => consumer.holder === verb.holder))
        throw refuse('impossible', { errors: [{ pointer: '/session', detail: 'holds no version of this secret' }] })
      const excused = [...new Set([...running.excused, verb.holder])]
      const isWaiting = consumers.some((consumer) => consumer.waitedFor && consumer.holder !== verb.holder)
      // A held rotation stays held for its other consumers.
      await write({ excused, ...((running.state !== 'held' || !isWaiting) && { nextAttemptAt: now }) })
      return { entry: entry({ holder: verb.holder }) }
    }
    case 'hold': {
      if (running.state === 'pending') throw conflict('its value is not the live one yet: cancel it')
      refuseWhileWorking(running, now)
      if (plan.retiring) throw conflict('the versions before are being ended already')
      const { nextAttemptAt: _, ...rest } = running
      await updateRotation(tx, { ...rest, state: 'held', updatedAt: now })
      return { entry: entry() }
    }
    case 'retire': {
      if (running.state === 'pending') throw conflict('its value is not the live one yet')
      if (plan.retiring) throw conflict('the versions before are being ended already')
      const remaining = (await parts.consumersOf(secret, running, snapshot, now, tx)).filter(
        (consumer) => consumer.waitedFor,
      )
      const retiring: NonNullable<Plan['retiring']> = { why: 'operator', holders: namesOf(remaining) }
      await write({ state: 'waiting', definition: { ...plan, retiring }, attempts: 0, nextAttemptAt: now })
      const intended: EntryPart = {
        ...entry({ holders: remaining.length }),
        action: 'secret.retire',
        outcome: 'intended',
      }
      return {
        entry: entry({ holders: remaining.length }),
        more: rotatorOf(parts.rotators, plan).effects ? [intended] : [],
      }
    }
    case 'cancel':
      return cancel(tx, parts, subject, plan, entry)
  }
}

async function cancel(
  tx: Knex.Transaction,
  parts: RotationParts,
  { secret, running, ...rest }: Subject,
  plan: Plan,
  entry: (more?: Record<string, unknown>) => EntryPart,
): Promise<Steered> {
  const { now } = rest
  refuseWhileWorking(running, now)
  if (running.state !== 'pending') {
    const rollback = await rollBack(tx, parts, { ...rest, secret, running, plan, toVersion: running.fromVersion })
    return { entry: { ...rollback.entry, detail: { do: 'cancel', ...rollback.entry.detail } } }
  }
  if (plan.undoing) throw conflict('it was cancelled already')
  if (running.attempts === 0 || !rotatorOf(parts.rotators, plan).effects) {
    await giveUp(tx, secret, running, 'cancelled', now)
    return { entry: entry() }
  }
  // A failed attempt may have set the value at the target: the live one is set again first.
  const definition: Plan = { ...plan, undoing: true }
  await updateRotation(tx, { ...running, definition, attempts: 0, nextAttemptAt: now, updatedAt: now })
  return { entry: { ...entry(), outcome: 'intended' } }
}
