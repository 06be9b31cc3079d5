/** The rotation of secrets: policies, rotations, and changes to a running one. */
import type { Actions } from '../actions/actions.ts'
import type { SecretRotation } from '../actions/rotations/state.ts'
import { refuse } from '../errors.ts'
import { type Policy, policyOf } from '../secrets/rotation/policy.ts'
import type { Verb } from '../secrets/rotation/steer.ts'
import type { ListedPolicy } from '../store/rotation-policies.ts'
import type { Snapshot } from '../store/snapshot.ts'
import { type IdempotencyParts, idempotent } from './idempotency.ts'
import { createPages } from './lists.ts'
import { pathOf } from './params.ts'
import { etag, pathRevision } from './preconditions.ts'
import { rendered } from './rendered.ts'
import { type ApiRequest, type BodyOf, type Reply, bodyOf, json, noContent, queryOf } from './request.ts'
import { showRotation, showSecretRotation } from './rotation-view.ts'
import type { ChangeState, PrepareChange, Read } from './route-kinds.ts'

export function createRotationRoutes(parts: IdempotencyParts & { actions: Pick<Actions, 'rotations'> }) {
  const { rotations } = parts.actions
  const page = createPages(parts)

  const get: Read = async (request, snapshot) =>
    replyWith(await rotations.get(request, snapshot, pathOf(request).path), request.time)

  const put: ChangeState = async (request, tx, snapshot) => {
    const input = { policy: readPolicyBody(bodyOf(request, 'putRotationPolicy')), ...pathRevision(request) }
    return rendered(await rotations.put(request, tx, snapshot, input), ({ isNew, ...rotation }) =>
      replyWith(rotation, request.time, isNew ? 201 : 200),
    )
  }

  const remove: ChangeState = async (request, tx, snapshot) =>
    rendered(await rotations.delete(request, tx, snapshot, pathRevision(request)), () => noContent)

  const rotate: PrepareChange = async (request) => {
    const input = readRotateBody(request)
    const prepared = await rotations.prepare(request, input)
    const change: ChangeState = async (_, tx, fresh) =>
      rendered(await rotations.rotate(request, tx, fresh, input, prepared), (rotation) =>
        replyWith(rotation, request.time, 202),
      )
    return idempotent(parts, change, again)
  }

  const rollBack: ChangeState = async (request, tx, snapshot) => {
    const { toVersion } = bodyOf(request, 'rollBackSecret')
    const { path } = pathOf(request)
    return rendered(await rotations.rollBack(request, tx, snapshot, { path, toVersion }), (rotation) =>
      replyWith(rotation, request.time, 202),
    )
  }

  const steer: ChangeState = async (request, tx, snapshot) => {
    const verb = readVerb(bodyOf(request, 'steerRotation'))
    const { path } = pathOf(request)
    return rendered(await rotations.steer(request, tx, snapshot, { path, verb }), (rotation) =>
      replyWith(rotation, request.time),
    )
  }

  const list: Read = async (request, snapshot) => {
    const { prefix = '' } = queryOf(request, 'listRotations')
    const rows = await rotations.list(request, prefix)
    const show = (row: (typeof rows)[number]) => ({ path: row.path, ...showRotation(row) })
    return page(request, snapshot, { list: 'rotations', rows, keyOf: (row) => row.path, show })
  }

  const policies: Read = async (request, snapshot) => {
    const { managedBy } = queryOf(request, 'listRotationPolicies')
    const rows = (after: string | undefined, max: number) => rotations.policies(request, { managedBy, after, max })
    const show = (row: ListedPolicy) => ({ path: row.path, revision: row.revision, policy: policyOf(row) })
    return page(request, snapshot, { list: 'rotation-policies', rows, keyOf: (row) => row.path, show })
  }

  const again = async (id: string, snapshot: Snapshot, now: Date) => {
    const rotation = await rotations.find({ time: now }, snapshot, id)
    return rotation && showSecretRotation(rotation, now)
  }

  return {
    get,
    put,
    remove,
    rotate,
    rollBack: idempotent(parts, rollBack, again),
    steer,
    list,
    policies,
  }
}

function replyWith(rotation: SecretRotation, now: Date, status = 200): Reply {
  const view = showSecretRotation(rotation, now)
  return json(view, { status, headers: etag(view.revision) })
}

function readPolicyBody({ rotator, schedule, ...terms }: BodyOf<'putRotationPolicy'>): Policy {
  return { ...terms, rotator: { ...rotator }, ...(schedule && { schedule }) }
}

function readRotateBody(request: ApiRequest) {
  const { data, supersede, ...terms } = bodyOf(request, 'rotateSecret')
  const { path } = pathOf(request)
  return { path, terms, ...(data && { data }), ...(supersede !== undefined && { supersede }) }
}

function readVerb({ do: verb, session, seconds }: BodyOf<'steerRotation'>): Verb {
  const invalid = (pointer: string, detail: string): Error =>
    refuse('invalid_request', { errors: [{ pointer, detail }] })
  if (seconds !== undefined && verb !== 'extend') throw invalid('/seconds', 'goes with extend alone')
  if (session !== undefined && verb !== 'excuse') throw invalid('/session', 'goes with excuse alone')
  if (verb === 'extend') {
    if (seconds === undefined) throw invalid('/seconds', 'is required with extend')
    return { do: verb, seconds }
  }
  if (verb === 'excuse') {
    if (session === undefined) throw invalid('/session', 'is required with excuse: a holder, as :consumers names it')
    return { do: verb, holder: session }
  }
  return { do: verb }
}
