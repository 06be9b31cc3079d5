/** Begins a rotation: the transaction of its `intended` entry stages the new value, sealed. */
import type { EntryPart } from '../../audit/entry.ts'
import { refuse } from '../../errors.ts'
import type { SealingKeyring } from '../../keys/data-keys.ts'
import { newId } from '../../names/id.ts'
import type { Knex } from '../../store/database.ts'
import { type RotationRow, insertRotation, lockRunning, versionsWithSameValue } from '../../store/rotations.ts'
import type { SecretRow } from '../../store/rows.ts'
import { insertVersion, readVersions } from '../../store/secret-versions.ts'
import { lastVersionOf } from '../../store/secrets.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import { secretResource } from '../entry.ts'
import { isReadable } from '../read.ts'
import type { Rotator, Rotators } from '../rotators/rotator.ts'
import { type SecretData, openData, sealData } from '../value.ts'
import type { ConsumersOf } from './consumers.ts'
import type { Plan } from './policy.ts'
import { endRunning } from './running.ts'

export type RotationParts = {
  rotators: Rotators
  keyring: SealingKeyring
  randomBytes: (size: number) => Buffer
  consumersOf: ConsumersOf
}

export type Beginning = {
  /** Its row is locked, and equals the snapshot's. */
  secret: SecretRow
  plan: Plan
  /** `operator:<name>`, or `schedule`. */
  requestedBy: string
  snapshot: Snapshot
  now: Date
  /** Supplied by an operator, or of an earlier version. Otherwise the rotator makes the value. */
  data?: SecretData
  prepared?: Prepared
  /** Ends a rotation that waits for consumers; the new one retires its versions. */
  supersede?: boolean
}

/** A value that a rotator made before the transaction, and what it made it from. */
export type Prepared = { data: SecretData; fromVersion: number; isOver: boolean; rotator: Plan['rotator'] }

export type Begun = { rotation: RotationRow; entry: EntryPart }

/** @throws Refusal `not_available` for a kind that this version of the server lacks */
export function rotatorOf(rotators: Rotators, { rotator }: Pick<Plan, 'rotator'>): Rotator {
  const implementation = rotators.get(rotator.kind)
  if (!implementation) throw refuse('not_available', { detail: `this server has no rotator ${rotator.kind}` })
  return implementation
}

/** The value of a version, deleted or not; undefined where it was destroyed. */
export async function valueOf(
  tx: Knex,
  keyring: SealingKeyring,
  secret: Pick<SecretRow, 'id' | 'path'>,
  version: number,
): Promise<SecretData | undefined> {
  const [row] = await readVersions(tx, [{ secretId: secret.id, version }])
  return row?.sealed && openData(keyring, secret, row)
}

/** The live value, and whether it can no longer be read. */
async function liveValue(knex: Knex, keyring: SealingKeyring, secret: SecretRow, now: Date) {
  const [row] = await readVersions(knex, [{ secretId: secret.id, version: secret.version }])
  const current = row?.sealed && openData(keyring, secret, row)
  return { isOver: !row || !isReadable(row, secret, now), ...(current && { current }) }
}

/**
 * Makes the next value before the transaction that stages it: generating an RSA key takes seconds.
 * @throws RotatorError where no value can be made
 */
export async function prepareValue(
  knex: Knex,
  { rotators, keyring }: Pick<RotationParts, 'rotators' | 'keyring'>,
  secret: SecretRow,
  plan: Plan,
  now: Date,
): Promise<Prepared> {
  const { path, version } = secret
  const live = await liveValue(knex, keyring, secret, now)
  const next = { config: plan.rotator, path, version: version + 1, ...live }
  const data = await rotatorOf(rotators, plan).next(next)
  return { data, fromVersion: version, isOver: live.isOver, rotator: plan.rotator }
}

/** Whether the rotator would still make it from the same input. */
const isMadeFor = (prepared: Prepared, secret: SecretRow, isOver: boolean, plan: Plan): boolean =>
  prepared.fromVersion === secret.version &&
  prepared.isOver === isOver &&
  JSON.stringify(prepared.rotator) === JSON.stringify(plan.rotator)

/**
 * @throws Refusal `conflict` while a rotation runs, or a live consumer holds what an effect would overwrite; RotatorError
 * where no value can be made
 */
export async function beginRotation(tx: Knex.Transaction, parts: RotationParts, beginning: Beginning): Promise<Begun> {
  const { secret, plan, requestedBy, now, prepared } = beginning
  const { keyring, rotators, randomBytes } = parts
  const rotator = rotatorOf(rotators, plan)
  const superseded = await clearRunning(tx, beginning)
  // A rollback sets a value that such a consumer may hold: it overwrites none.
  if (rotator.effects && !plan.allowOverlap && plan.rollbackTo === undefined) await refuseOverlap(tx, parts, beginning)

  const version = (await lastVersionOf(tx, secret.id)) + 1
  const { path } = secret
  const live = await liveValue(tx, keyring, secret, now)
  const next = { config: plan.rotator, path, version, ...live }
  if (plan.supplied && beginning.data) {
    const problems = rotator.checkSupplied?.(beginning.data, next) ?? []
    const errors = problems.map((problem) => ({ ...problem, pointer: `/data${problem.pointer}` }))
    if (errors.length > 0) throw refuse('impossible', { errors })
  }
  const ready = prepared && isMadeFor(prepared, secret, live.isOver, plan) ? prepared.data : undefined
  const data = beginning.data ?? ready ?? (await rotator.next(next))
  await insertVersion(tx, {
    secretId: secret.id,
    version,
    sealed: sealData(keyring, secret, version, data),
    staged: true,
    source: plan.rollbackTo === undefined ? 'rotation' : 'rollback',
    createdBy: requestedBy === 'schedule' ? 'system' : requestedBy,
    createdAt: now,
  })
  const rotation: RotationRow = {
    id: newId('rot', randomBytes),
    secretId: secret.id,
    state: 'pending',
    rotator: rotator.kind,
    fromVersion: secret.version,
    toVersion: version,
    definition: plan,
    excused: [],
    requestedBy,
    attempts: 0,
    nextAttemptAt: now,
    startedAt: now,
    updatedAt: now,
  }
  await insertRotation(tx, rotation)
  return {
    rotation,
    entry: {
      outcome: 'intended',
      resource: secretResource(secret),
      detail: { ...summaryOf(rotation, plan, rotator), ...(superseded && { superseded: superseded.id }) },
    },
  }
}

const summaryOf = (rotation: RotationRow, plan: Plan, { recipient }: Rotator): Record<string, unknown> => ({
  rotation: rotation.id,
  rotator: rotation.rotator,
  ...(recipient && { tells: recipient(plan.rotator) }),
  requestedBy: rotation.requestedBy,
  fromVersion: rotation.fromVersion,
  toVersion: rotation.toVersion,
  deadlineSeconds: plan.deadlineSeconds,
  onDeadline: plan.onDeadline,
  ...(plan.rollbackTo !== undefined && { rollbackTo: plan.rollbackTo }),
  ...(plan.supplied && { supplied: true }),
})

/** One rotation of a secret runs at a time. @throws Refusal `conflict` */
async function clearRunning(
  tx: Knex.Transaction,
  { secret, supersede, now }: Beginning,
): Promise<RotationRow | undefined> {
  const running = await lockRunning(tx, secret.id)
  if (!running) return undefined
  if (!supersede)
    throw refuse('conflict', { detail: 'a rotation of this secret runs already: wait for it, or supersede it' })
  await endRunning(tx, running, 'superseded', now)
  return running
}

/** Where a target takes two values at a time, the next one overwrites the one before the live one. */
async function refuseOverlap(
  tx: Knex.Transaction,
  { consumersOf }: RotationParts,
  { secret, snapshot, now }: Beginning,
): Promise<void> {
  // After a rollback an earlier version may have the live value, which is not overwritten.
  const alike = await versionsWithSameValue(tx, secret.id, secret.version)
  const consumers = await consumersOf(secret, undefined, snapshot, now, tx)
  const before = consumers.filter((consumer) => consumer.waitedFor && !alike.includes(consumer.newest.version))
  if (before.length === 0) return
  const detail =
    `${before.length} of its live consumers hold a version before the live one, which this would overwrite: ` +
    'wait for them, end their sessions, or set allowOverlap'
  throw refuse('conflict', { detail })
}
