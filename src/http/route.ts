/**
 * The way of one request, the same for every route: limit → body → schema → who → permission → handler → append →
 * release. Whatever goes wrong on the way is recorded, within the limits for strangers, and answered from one table.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Action, Actor } from '../audit/entry.ts'
import { cut } from '../audit/entry.ts'
import type { Acting } from '../actions/context.ts'
import type { Change, Release, Hints, Recorded, Recorder } from '../audit/record.ts'
import type { Opening } from '../audit/seal.ts'
import { type Problem, Refusal, refuse } from '../errors.ts'
import { type Permission, takesCredential } from '../operators/permissions.ts'
import type { Knex } from '../store/database.ts'
import type { Snapshot, Snapshots } from '../store/snapshot.ts'
import type { Logger } from '../telemetry/log.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import { readBody } from './body.ts'
import { type Caller, isLiveCaller } from '../authorize/caller.ts'
import { type IdentifyParts, identify, operatorOf } from './caller.ts'
import { clientCertificate } from './client-certificate.ts'
import { createGive, refuseUnlessStill } from './give.ts'
import type { FirstUse } from '../actions/tokens/first-use.ts'
import { freshSnapshot } from '../actions/freshness.ts'
import type { LimitKind, Limits } from './limits.ts'
import type { Operation } from './openapi.ts'
import { type OpeningParts, createOpenRequest } from './opening.ts'
import { queryOf } from './query.ts'
import { createAnswers } from './refused.ts'
import type { ApiRequest, Reply } from './request.ts'
import { sendReply } from './reply.ts'

/** Answers from what is kept. */
export type Read = (request: ApiRequest, snapshot: Snapshot) => Promise<Reply>
/** Gives something out: appended in the group commit, then the reply leaves. */
export type Issue = (request: ApiRequest, snapshot: Snapshot, hints: Hints) => Promise<Release<Reply>>
/** Changes stored state: its SQL and its entry in one transaction, the entry last. */
export type ChangeState<Prepared = undefined> = (
  request: ApiRequest,
  tx: Knex.Transaction,
  snapshot: Snapshot,
  prepared: Prepared,
) => Promise<Change<Reply>>
/** Computes what takes longer than a transaction may stay open. It decides nothing: the change does. */
export type Before<Prepared> = (request: ApiRequest, snapshot: Snapshot) => Promise<Prepared>

/** Acts outside: a change that records the intent, the act, and a change that records its outcome. */
export type Act = (request: ApiRequest, acting: Acting) => Promise<Recorded<Reply>>

/** A change whose `before` step, where it has one, has run. */
type PreparedChange = (tx: Knex.Transaction, snapshot: Snapshot) => Promise<Change<Reply>>

type Common = { method: Method; path: string; permission: Permission; limit: LimitKind; action: Action | 'none' }
export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
export type Route = Common &
  (
    | { kind: 'read'; handler: Read }
    | { kind: 'issue'; handler: Issue }
    | { kind: 'change'; prepare: (request: ApiRequest, snapshot: Snapshot) => Promise<PreparedChange> }
    | { kind: 'act'; handler: Act }
  )

const route =
  <K extends Route['kind'], H>(kind: K) =>
  (method: Method, path: string, permission: Permission, limit: LimitKind, action: Action | 'none', handler: H) => ({
    kind,
    method,
    path,
    permission,
    limit,
    action,
    handler,
  })
export const read = route<'read', Read>('read')
export const issue = route<'issue', Issue>('issue')
export const act = route<'act', Act>('act')
export const change = (
  method: Method,
  path: string,
  permission: Permission,
  limit: LimitKind,
  action: Action | 'none',
  handler: ChangeState,
): Route => preparedChange(method, path, permission, limit, action, { before: async () => undefined, handler })
export const preparedChange = <Prepared>(
  method: Method,
  path: string,
  permission: Permission,
  limit: LimitKind,
  action: Action | 'none',
  { before, handler }: { before: Before<Prepared>; handler: ChangeState<Prepared> },
): Route => ({
  kind: 'change',
  method,
  path,
  permission,
  limit,
  action,
  async prepare(request, snapshot) {
    const prepared = await before(request, snapshot)
    return (tx, fresh) => handler(request, tx, fresh, prepared)
  },
})

export type DoorParts = OpeningParts &
  IdentifyParts & {
    recorder: Recorder
    snapshots: Pick<Snapshots, 'current' | 'age' | 'refresh'>
    limits: Limits
    log: Logger
    metrics: Metrics
    /** The first use of an admin token ends the bootstrap token that made it. */
    firstUse: FirstUse
  }

export type Door = (message: IncomingMessage, response: ServerResponse, params: Record<string, string>) => Promise<void>

function actorOf(caller: Caller, note: string | undefined): Actor {
  const noted = note === undefined ? {} : { note: cut(note) }
  switch (caller.kind) {
    // The handler says whose it is, once it holds the token's row.
    case 'anonymous':
    case 'bootstrap':
      return { kind: 'anonymous', ...noted }
    case 'operator':
      return { kind: 'operator', operator: caller.operator, tokenId: caller.tokenId, ...noted }
    case 'session': {
      const { id, spiffeId, workloadId } = caller.session
      return { kind: 'workload', session: id, spiffeId, workloadId, ...noted }
    }
  }
}

const problemsRefused = (errors: Problem[]): Refusal => refuse('invalid_request', { errors })

/** Makes the door of one route. */
export function createDoor(route: Route, operation: Operation, parts: DoorParts): Door {
  const { recorder, snapshots, limits, log, metrics, now } = parts
  const openRequest = createOpenRequest(parts)
  const answers = createAnswers(parts)

  async function understand(
    message: IncomingMessage,
    params: Record<string, string>,
    open: Opening,
  ): Promise<ApiRequest> {
    const { values, problems } = operation.validateParams({
      path: params,
      query: queryOf(message.url ?? ''),
      headers: message.headers,
    })
    if (problems.length > 0 || !values) throw problemsRefused(problems)
    const { body, mediaType } = await readBody(message, operation)
    const faults = operation.validateBody(body, mediaType)
    if (faults.length > 0) throw problemsRefused(faults)
    // What is appended is judged once more by the database itself; what is only read is not.
    if (route.kind === 'read' && takesCredential(route.permission)) await freshSnapshot(snapshots)
    const caller = await identify(
      message,
      route.permission,
      snapshots.current(),
      parts,
      open.time,
      route.kind === 'issue',
    )
    open.actor = actorOf(caller, values.reason)
    if (caller.kind === 'operator' && caller.firstUse) await parts.firstUse(open, caller.tokenId)
    const { ifMatch, idempotencyKey, reason, lastEventId } = values
    return {
      requestId: open.requestId,
      operation: operation.operationId,
      time: open.time,
      address: open.source?.ip ?? '',
      params: Object.fromEntries(Object.entries(values.path).map(([name, value]) => [name, String(value)])),
      query: values.query,
      body,
      caller,
      clientCertificate: () => clientCertificate(message, open.time),
      ...(ifMatch !== undefined && { ifMatch: String(ifMatch) }),
      ...(idempotencyKey !== undefined && { idempotencyKey }),
      ...(reason !== undefined && { reason }),
      ...(lastEventId !== undefined && { lastEventId }),
    }
  }

  async function run(request: ApiRequest, open: Opening, message: IncomingMessage): Promise<Reply> {
    if (route.kind === 'read') return route.handler(request, snapshots.current())
    // By what the database says now, whatever was looked up lately.
    const identifyAgain = (snapshot: Snapshot): Promise<Caller> =>
      identify(message, route.permission, snapshot, parts, open.time, false)
    return withReceipt(await recordedBy(route, request, open, identifyAgain))
  }

  async function recordedBy(
    route: Exclude<Route, { kind: 'read' }>,
    request: ApiRequest,
    open: Opening,
    identifyAgain: (snapshot: Snapshot) => Promise<Caller>,
  ): Promise<Recorded<Reply>> {
    if (route.kind === 'issue') return recorder.grant(open, createGive(route.handler, request, identifyAgain))
    const begin: Acting['begin'] = (run) =>
      recorder.change(open, (tx, snapshot) => {
        refuseUnlessStill(request, snapshot)
        return run(tx, snapshot)
      })
    if (route.kind === 'change') return begin(await route.prepare(request, snapshots.current()))
    return route.handler(request, { open, begin, finish: (run) => recorder.change(open, run) })
  }

  /** A long reply ends in the middle where its caller's right to it does. */
  function whileStill(caller: Caller, reply: Reply): Reply {
    const { body } = reply
    if (!('stream' in body) || body.live) return reply
    async function* guarded(stream: AsyncIterable<string>): AsyncGenerator<string> {
      for await (const chunk of stream) {
        if (!isLiveCaller(caller, snapshots.current(), now())) throw refuse('unauthenticated')
        yield chunk
      }
    }
    return { ...reply, body: { ...body, stream: guarded(body.stream) } }
  }

  return async (message, response, params) => {
    const open = openRequest(message, route.action === 'none' ? 'request.refused' : route.action)
    const { ip } = open.source
    let answered: Date | undefined
    try {
      const taken = limits.take({ address: ip, kind: route.limit })
      if (!taken.ok) {
        if (route.limit !== 'none') metrics.rateLimited(route.limit)
        throw refuse('rate_limited', { retryAfterSeconds: taken.retryAfterSeconds })
      }
      const request = await understand(message, params, open)
      const reply = await run(request, open, message)
      // How long a watch lasts says nothing about answers.
      if ('stream' in reply.body && reply.body.live) answered = now()
      await sendReply(response, open.requestId, whileStill(request.caller, reply))
    } catch (error) {
      if (response.headersSent) response.destroy()
      else if (error instanceof Refusal) {
        if (open.actor.kind === 'anonymous' && takesCredential(route.permission)) {
          open.actor = actorOf(operatorOf(message, snapshots.current(), open.time) ?? { kind: 'anonymous' }, undefined)
        }
        await answers.refused(response, open, error)
      } else await answers.failed(response, open, operation.operationId, error)
    } finally {
      const seconds = ((answered ?? now()).getTime() - open.time.getTime()) / 1000
      metrics.request({ route: operation.operationId, status: response.statusCode, seconds })
      log.debug('request', { requestId: open.requestId, route: operation.operationId, status: response.statusCode })
    }
  }
}

async function withReceipt(recorded: Recorded<Reply>): Promise<Reply> {
  const { result: reply, epoch, index } = recorded
  const { status, receipt } = reply
  // A reply that repeats an earlier one names that one's entry.
  const headers = { 'purser-log-index': `${epoch}/${index}`, ...reply.headers }
  const body = receipt ? { json: receipt.put(await recorded.receipt(receipt.since)) } : reply.body
  return { headers, body, ...(status !== undefined && { status }) }
}
