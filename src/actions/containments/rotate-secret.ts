/** Rotates a secret that a contained caller read, with a deadline of zero. A contained session is no consumer. */
import type { Change, Recorder } from '../../audit/record.ts'
import { Refusal } from '../../errors.ts'
import { secretResource } from '../../secrets/entry.ts'
import { type Beginning, type RotationParts, beginRotation, prepareValue } from '../../secrets/rotation/begin.ts'
import { type Terms, newPlan, planOf } from '../../secrets/rotation/policy.ts'
import { RotatorError } from '../../secrets/rotators/rotator.ts'
import { insertItems } from '../../store/containment-items.ts'
import type { ContainmentRow } from '../../store/containments.ts'
import type { Database, Knex } from '../../store/database.ts'
import { type RotationRow, lockRunning, updateRotation } from '../../store/rotations.ts'
import { findSecret, lockSecret } from '../../store/secrets.ts'
import { fateOf } from './fate.ts'

export type RotateParts = RotationParts & {
  db: Pick<Database, 'knex'>
  recorder: Pick<Recorder, 'change'>
  now: () => Date
}

/** Consumers that have not moved read the new version when their own fails: an attacker holds the older one. */
const terms: Partial<Terms> = { deadlineSeconds: 0, onDeadline: 'retire', allowOverlap: true }

type Rotated = { rotation: string } & Pick<Change<undefined>, 'entry'>

/** Its value is not live yet and has no reader: it needs another deadline alone. */
async function hasten(tx: Knex.Transaction, running: RotationRow): Promise<Rotated> {
  await updateRotation(tx, { ...running, definition: { ...planOf(running), ...terms } })
  return {
    rotation: running.id,
    entry: { action: 'secret.rotation', detail: { do: 'hasten', rotation: running.id, deadlineSeconds: 0 } },
  }
}

async function begin(tx: Knex.Transaction, parts: RotateParts, beginning: Beginning): Promise<Rotated> {
  const { rotation, entry } = await beginRotation(tx, parts, beginning)
  return { rotation: rotation.id, entry }
}

export function createRotateSecret(parts: RotateParts) {
  const { db, recorder, now } = parts

  /** @throws Refusal `conflict` while another rotation ends older versions */
  async function rotate(containment: ContainmentRow, path: string, versions: number[]): Promise<string | undefined> {
    const fate = await fateOf(db.knex, path, versions, containment)
    if (fate.do === 'person') return fate.reason
    if (fate.do === 'nothing') return undefined
    const { id, requestId, requestedBy } = containment
    const plan = newPlan(fate.policy, terms)
    const live = await findSecret(db.knex, path)
    const prepared = live && (await prepareValue(db.knex, parts, live, plan, now()))
    const open = { requestId, action: 'secret.rotate', time: now(), actor: { kind: 'system' } } as const
    await recorder.change(open, async (tx, snapshot) => {
      const secret = await lockSecret(tx, path)
      if (!secret) throw new Error('a secret was removed while its rotation began')
      const running = await lockRunning(tx, secret.id)
      const beginning = { secret, plan, requestedBy, snapshot, now: open.time, supersede: true }
      const { rotation, entry } =
        running?.state === 'pending'
          ? await hasten(tx, running)
          : await begin(tx, parts, { ...beginning, ...(prepared && { prepared }) })
      await insertItems(tx, id, [{ kind: 'secret', name: path, detail: { rotation } }])
      const detail = { ...entry.detail, containment: id }
      return { result: undefined, entry: { resource: secretResource(secret), ...entry, detail } }
    })
    return undefined
  }

  /** Leaves a secret for the next run where another rotation stands in the way. */
  return async (containment: ContainmentRow, path: string, versions: number[]): Promise<void> => {
    let reason: string | undefined
    try {
      reason = await rotate(containment, path, versions)
    } catch (error) {
      if (error instanceof Refusal && error.code === 'conflict') return
      reason = reasonOf(error)
      if (reason === undefined) throw error
    }
    await insertItems(db.knex, containment.id, [
      { kind: 'secret', name: path, ...(reason !== undefined && { detail: { reason } }) },
    ])
  }
}

/** Why no value can be made; undefined for errors that a retry may mend. */
function reasonOf(error: unknown): string | undefined {
  if (error instanceof RotatorError) return `its rotator makes no value: ${error.message}`
  if (!(error instanceof Refusal) || !['too_large', 'not_available', 'impossible'].includes(error.code))
    return undefined
  return `its rotator makes no value: ${error.info.detail ?? error.code}`
}
