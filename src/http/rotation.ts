/** The rotation of secrets, as operators set and steer it. Jobs do what is begun here (jobs/rotation.ts). */
import { refuse } from '../errors.ts'
import {
  type Begun,
  type Prepared,
  type RotationParts,
  beginRotation,
  prepareValue,
  secretResource,
} from '../secrets/rotation/begin.ts'
import { claimedElsewhere } from '../secrets/rotation/claims.ts'
import { type Plan, type Policy, checkPolicy, newPlan, policyOf } from '../secrets/rotation/policy.ts'
import { rollBack } from '../secrets/rotation/roll-back.ts'
import { nextRun } from '../secrets/rotation/schedule.ts'
import { type Verb, steer } from '../secrets/rotation/steer.ts'
import { RotatorError } from '../secrets/rotators/rotator.ts'
import type { Database, Knex } from '../store/database.ts'
import { type RotationPolicyRow, readPolicy, removePolicy, writePolicy } from '../store/rotation-policies.ts'
import { listRotations, lockRunning, runningRotations } from '../store/rotations.ts'
import type { SecretRow } from '../store/rows.ts'
import { updateSecret } from '../store/secrets.ts'
import type { Snapshot } from '../store/snapshot.ts'
import { idempotent } from './idempotency.ts'
import { type ListParts, createPages } from './lists.ts'
import { checkRevision, operatorName } from '../actions/context.ts'
import { lockedSecret, secretOf } from '../actions/secrets/live.ts'
import { pathOf } from './paths.ts'
import { etag, expectedRevision } from './preconditions.ts'
import { type ApiRequest, type BodyOf, type Reply, bodyOf, json, queryFor } from './request.ts'
import { showRotation, showSecretRotation } from './rotation-view.ts'
import type { ChangeState, Read } from './route.ts'
import { checkReason } from '../actions/context.ts'

export type RotationRouteParts = RotationParts & ListParts & { db: Pick<Database, 'knex'> }

const maxShown = 11

const whyTold = 'must say why values of this secret are sent there: it goes into the log'

export function createRotationRoutes(parts: RotationRouteParts) {
  const { db, rotators, randomBytes, consumersOf } = parts
  const page = createPages(parts)

  async function view(knex: Knex, secret: SecretRow, snapshot: Snapshot, now: Date) {
    const policy = await readPolicy(knex, secret.id)
    const rotations = await listRotations(knex, secret.id, maxShown)
    const [last] = rotations
    const waits = last && ['issued', 'waiting', 'held'].includes(last.state)
    const consumers = waits ? await consumersOf(secret, last, snapshot, now, knex) : undefined
    return showSecretRotation(
      secret,
      policy,
      rotations,
      consumers?.filter((consumer) => consumer.waitedFor).length,
      now,
    )
  }

  async function show(knex: Knex, secret: SecretRow, snapshot: Snapshot, now: Date, status = 200): Promise<Reply> {
    const shown = await view(knex, secret, snapshot, now)
    return json(shown, { status, headers: etag(shown.revision) })
  }

  const get: Read = async (request, snapshot) =>
    show(db.knex, secretOf(pathOf(request).path, snapshot), snapshot, request.time)

  const put: ChangeState = async (request, tx, snapshot) => {
    const expected = expectedRevision(request)
    const policy: Policy = readPolicyBody(bodyOf(request, 'putRotationPolicy'))
    const secret = await lockedSecret(pathOf(request).path, tx, snapshot)
    const old = await readPolicy(tx, secret.id)
    checkRevision(expected, old?.revision ?? 0)
    const errors = [
      ...checkPolicy(policy, rotators, snapshot, request.time),
      ...(await claimedElsewhere(tx, { rotators, snapshot }, { secretId: secret.id, rotator: policy.rotator })),
    ]
    if (errors.length > 0) throw refuse('impossible', { errors })
    const tells = (of: Policy): string | undefined => rotators.get(of.rotator.kind)?.tells?.(of.rotator)
    const told = tells(policy)
    if (told !== undefined && told !== (old && tells(policyOf(old)))) checkReason(request, whyTold)

    const { schedule } = policy
    // Another deadline must not leave out a beginning that is due.
    const same = old && JSON.stringify(policyOf(old).schedule) === JSON.stringify(schedule)
    const nextAt = same ? old.nextAt : schedule && nextRun(schedule, request.time, randomBytes)
    const revision = (old?.revision ?? 0) + 1
    await writePolicy(
      tx,
      { secretId: secret.id, definition: policy, revision, ...(nextAt && { nextAt }) },
      request.time,
    )
    const row = { ...secret, rotator: policy.rotator.kind, revision: secret.revision + 1, updatedAt: request.time }
    await updateSecret(tx, row)
    return {
      result: await show(tx, row, snapshot, request.time, old ? 200 : 201),
      entry: { resource: { ...secretResource(row), revision: row.revision }, change: { after: { revision, policy } } },
      changed: [{ table: 'secret', where: { id: row.id } }],
    }
  }

  /** From then on values are written as of any secret; what its rotations made stays. */
  const remove: ChangeState = async (request, tx, snapshot) => {
    const expected = expectedRevision(request)
    const secret = await lockedSecret(pathOf(request).path, tx, snapshot)
    const old = await readPolicy(tx, secret.id)
    if (!old) throw refuse('not_found', { detail: 'it has no rotation policy' })
    checkRevision(expected, old.revision)
    if (await lockRunning(tx, secret.id)) throw refuse('conflict', { detail: 'a rotation of this secret runs' })
    await removePolicy(tx, secret.id)
    const { rotator: _, ...rest } = secret
    const row = { ...rest, revision: secret.revision + 1, updatedAt: request.time }
    await updateSecret(tx, row)
    return {
      result: { status: 204, body: { text: '', type: 'text/plain' } },
      entry: {
        resource: { ...secretResource(row), revision: row.revision },
        change: { after: { revision: 0 } },
        detail: { do: 'remove', policy: old.revision },
      },
      changed: [{ table: 'secret', where: { id: row.id } }],
    }
  }

  /** What was begun is shown as it stands in the transaction. */
  const begun = async (
    request: ApiRequest,
    tx: Knex.Transaction,
    secret: SecretRow,
    snapshot: Snapshot,
    made: Begun,
  ) => ({
    result: await show(tx, secret, snapshot, request.time, 202),
    entry: made.entry,
  })

  const planFor = (request: ApiRequest, policy: RotationPolicyRow | undefined): Plan => {
    const { data, deadlineSeconds, onDeadline } = bodyOf(request, 'rotateSecret')
    if (!policy && !data) throw refuse('impossible', { detail: 'it has no policy to make a value by: send data' })
    const own = { ...(deadlineSeconds !== undefined && { deadlineSeconds }), ...(onDeadline && { onDeadline }) }
    const plan = newPlan(policy && policyOf(policy), own)
    return data ? { ...plan, supplied: true } : plan
  }

  /** What is missing here may be there for the change, which looks again. */
  async function before(request: ApiRequest, snapshot: Snapshot): Promise<Prepared | undefined> {
    const secret = snapshot.secrets.get(pathOf(request).path)
    const policy = secret && (await readPolicy(db.knex, secret.id))
    if (!policy || bodyOf(request, 'rotateSecret').data) return undefined
    return madeHere(prepareValue(db.knex, parts, secret, planFor(request, policy), request.time))
  }

  const rotate: ChangeState<Prepared | undefined> = async (request, tx, snapshot, prepared) => {
    const secret = await lockedSecret(pathOf(request).path, tx, snapshot)
    const plan = planFor(request, await readPolicy(tx, secret.id))
    const { data, supersede = false } = bodyOf(request, 'rotateSecret')
    const asked = { secret, plan, supersede, requestedBy: operatorName(request), snapshot, now: request.time }
    const more = { ...(data && { data }), ...(prepared && { prepared }) }
    return begun(request, tx, secret, snapshot, await madeHere(beginRotation(tx, parts, { ...asked, ...more })))
  }

  const back: ChangeState = async (request, tx, snapshot) => {
    const { toVersion } = bodyOf(request, 'rollBackSecret')
    const secret = await lockedSecret(pathOf(request).path, tx, snapshot)
    const policy = await readPolicy(tx, secret.id)
    const running = await lockRunning(tx, secret.id)
    const plan = newPlan(policy && policyOf(policy))
    const asked = {
      secret,
      running,
      plan,
      toVersion,
      requestedBy: operatorName(request),
      snapshot,
      now: request.time,
    }
    return begun(request, tx, secret, snapshot, await rollBack(tx, parts, asked))
  }

  const steerOne: ChangeState = async (request, tx, snapshot) => {
    const verb = readVerb(bodyOf(request, 'steerRotation'))
    const secret = await lockedSecret(pathOf(request).path, tx, snapshot)
    const running = await lockRunning(tx, secret.id)
    if (!running) throw refuse('conflict', { detail: 'no rotation of this secret runs' })
    const asked = { secret, running, requestedBy: operatorName(request), snapshot, now: request.time }
    const steered = await steer(tx, parts, asked, verb)
    return { result: await show(tx, secret, snapshot, request.time), ...steered }
  }

  const list: Read = async (request, snapshot) => {
    const { prefix = '' } = queryFor(request, 'listRotations')
    const rows = (await runningRotations(db.knex)).filter(({ path }) => path.startsWith(prefix))
    const showListed = (row: (typeof rows)[number]) => ({ path: row.path, ...showRotation(row) })
    return page(request, snapshot, { list: 'rotations', rows, keyOf: (row) => row.path, show: showListed })
  }

  const again = (id: string, snapshot: Snapshot, now: Date) => {
    const secret = [...snapshot.secrets.values()].find((secret) => secret.id === id)
    return secret && view(db.knex, secret, snapshot, now)
  }

  return {
    get,
    put,
    remove,
    rotate: { before, handler: idempotent(parts, rotate, again) },
    back: idempotent(parts, back, again),
    steer: steerOne,
    list,
  }
}

/** Whoever asked is told what a rotator says of the value that it can't make. */
async function madeHere<T>(made: Promise<T>): Promise<T> {
  try {
    return await made
  } catch (error) {
    throw error instanceof RotatorError ? refuse('impossible', { detail: error.message }) : error
  }
}

function readPolicyBody(body: BodyOf<'putRotationPolicy'>): Policy {
  const { rotator, schedule, ...terms } = body
  return { ...terms, rotator: { ...rotator }, ...(schedule && { schedule }) }
}

function readVerb({ do: verb, session, seconds }: BodyOf<'steerRotation'>): Verb {
  const wrong = (pointer: string, detail: string): Error => refuse('invalid_request', { errors: [{ pointer, detail }] })
  if (seconds !== undefined && verb !== 'extend') throw wrong('/seconds', 'goes with extend alone')
  if (session !== undefined && verb !== 'excuse') throw wrong('/session', 'goes with excuse alone')
  if (verb === 'extend') {
    if (seconds === undefined) throw wrong('/seconds', 'is required with extend')
    return { do: verb, seconds }
  }
  if (verb === 'excuse') {
    if (session === undefined) throw wrong('/session', 'is required with excuse: a holder, as :consumers names it')
    return { do: verb, holder: session }
  }
  return { do: verb }
}
