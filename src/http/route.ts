/**
 * The way of one request, the same for every route: limit → body → schema → who → permission → handler → append →
 * release. Whatever goes wrong on the way is recorded, within the limits for strangers, and answered from one table.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Action, Actor } from '../audit/entry.ts'
import { cut } from '../audit/entry.ts'
import type { Change, Grant, Hints, Recorded, Recorder } from '../audit/record.ts'
import type { Opening } from '../audit/seal.ts'
import { type Problem, Refusal, refuse } from '../errors.ts'
import { newId } from '../names/id.ts'
import type { Permission } from '../operators/permissions.ts'
import type { Knex } from '../store/database.ts'
import type { Snapshot, Snapshots } from '../store/snapshot.ts'
import type { Log as ServerLog } from '../telemetry/log.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import { readBody } from './body.ts'
import { type FindSession, identify } from './caller.ts'
import type { LimitKind, Limits } from './limits.ts'
import type { Operation } from './openapi.ts'
import type { ApiRequest, Caller, Reply } from './request.ts'
import { sendFailure, sendRefusal, sendReply } from './reply.ts'

/** Answers from what is kept. */
export type Read = (request: ApiRequest, snapshot: Snapshot) => Promise<Reply>
/** Gives something out: appended in the group commit, then the reply leaves. */
export type Issue = (request: ApiRequest, snapshot: Snapshot, hints: Hints) => Promise<Grant<Reply>>
/** Changes what is kept: its SQL and its entry in one transaction, the entry last. */
export type ChangeState = (request: ApiRequest, tx: Knex.Transaction, snapshot: Snapshot) => Promise<Change<Reply>>

type Common = { method: Method; path: string; permission: Permission; limit: LimitKind; action: Action | 'none' }
export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
export type Route = Common &
  ({ kind: 'read'; handler: Read } | { kind: 'issue'; handler: Issue } | { kind: 'change'; handler: ChangeState })

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
export const change = route<'change', ChangeState>('change')

export type DoorParts = {
  recorder: Recorder
  snapshots: Pick<Snapshots, 'current' | 'refresh'>
  sessions: FindSession
  limits: Limits
  log: ServerLog
  metrics: Metrics
  now: () => Date
  randomBytes: (size: number) => Buffer
  /** The caller's address, behind proxies that are trusted. */
  addressOf: (message: IncomingMessage) => string
  /** The first use of an admin token ends the bootstrap token that made it. */
  firstUse: (open: Opening, tokenId: string) => Promise<void>
}

export type Door = (message: IncomingMessage, response: ServerResponse, params: Record<string, string>) => Promise<void>

function actorOf(caller: Caller, note: string | undefined): Actor {
  const noted = note === undefined ? {} : { note: cut(note) }
  switch (caller.kind) {
    case 'anonymous':
      return { kind: 'anonymous', ...noted }
    case 'bootstrap':
      return { kind: 'bootstrap', ...noted }
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
  const { recorder, snapshots, limits, log, metrics, now, randomBytes } = parts

  async function understand(
    message: IncomingMessage,
    params: Record<string, string>,
    open: Opening,
  ): Promise<ApiRequest> {
    const { values, problems } = operation.validateParams({
      path: params,
      query: queryOf(message),
      headers: message.headers,
    })
    if (problems.length > 0 || !values) throw problemsRefused(problems)
    const body = operation.maxBodyBytes > 0 ? await readBody(message, operation.maxBodyBytes) : undefined
    const faults = operation.validateBody(body)
    if (faults.length > 0) throw problemsRefused(faults)
    const caller = await identify(message, route.permission, snapshots.current(), parts.sessions, open.time)
    open.actor = actorOf(caller, values.reason)
    if (caller.kind === 'operator' && caller.firstUse) await parts.firstUse(open, caller.tokenId)
    const { ifMatch, idempotencyKey } = values
    return {
      id: open.requestId,
      operation: operation.operationId,
      time: open.time,
      ip: open.source?.ip ?? '',
      params: values.path as Record<string, string>,
      query: values.query as Record<string, unknown>,
      body,
      caller,
      ...(ifMatch !== undefined && { ifMatch: String(ifMatch) }),
      ...(idempotencyKey !== undefined && { idempotencyKey }),
    }
  }

  async function run(request: ApiRequest, open: Opening): Promise<Reply> {
    if (route.kind === 'read') return route.handler(request, snapshots.current())
    const recorded: Recorded<Reply> =
      route.kind === 'issue'
        ? await recorder.grant(open, (snapshot, hints) => route.handler(request, snapshot, hints))
        : await recorder.change(open, (tx, snapshot) => route.handler(request, tx, snapshot))
    return withReceipt(recorded)
  }

  /** Recorded before it is answered; when even that can't be written, the caller is told so and nothing else. */
  async function refused(response: ServerResponse, open: Opening, refusal: Refusal): Promise<void> {
    metrics.refused(refusal.code)
    const stranger = open.actor.kind === 'anonymous'
    if (route.action !== 'none' && refusal.code !== 'rate_limited') {
      const { attestor, actor } = refusal.info
      const noted = { reason: refusal.code, attestor, address: open.source?.ip ?? '', proven: actor !== undefined }
      const wanted = !stranger || limits.noteRefusal(noted) === 'record'
      if (wanted && !(await recordRefusal(response, open, refusal))) return
    }
    sendRefusal(response, open.requestId, refusal)
  }

  async function recordRefusal(response: ServerResponse, open: Opening, refusal: Refusal): Promise<boolean> {
    const { explanation, attestor, errors } = refusal.info
    // The attestor that an unverified proof led to is ours, so it may be named and searched for.
    const actor = { ...open.actor, ...(attestor !== undefined && { attestor }), ...refusal.info.actor }
    // Which part was refused, for explain; what strangers get wrong buys no room in the log.
    const detail = { ...explanation, ...(errors && actor.kind !== 'anonymous' && { errors }) }
    try {
      await recorder.note(open, 'refused', {
        reason: refusal.code,
        actor,
        ...(Object.keys(detail).length > 0 && { detail }),
      })
      return true
    } catch (error) {
      log.error('log.unavailable', { requestId: open.requestId, err: error })
      const shut = error instanceof Refusal ? error : refuse('log_unavailable', { retryAfterSeconds: 2 })
      sendRefusal(response, open.requestId, shut)
      return false
    }
  }

  async function failed(response: ServerResponse, open: Opening, error: unknown): Promise<void> {
    log.error('request.failed', { requestId: open.requestId, route: operation.operationId, err: error })
    if (route.action !== 'none') await recorder.note(open, 'failed', {}).catch(() => undefined)
    sendFailure(response, open.requestId)
  }

  return async (message, response, params) => {
    const started = now()
    const ip = parts.addressOf(message)
    const agent = message.headers['user-agent']
    const open: Opening = {
      requestId: newId('req', randomBytes),
      action: route.action === 'none' ? 'request.refused' : route.action,
      time: started,
      actor: { kind: 'anonymous' },
      source: { ip, ...(agent !== undefined && { userAgent: cut(agent) }) },
    }
    try {
      const taken = limits.take({ address: ip, kind: route.limit })
      if (!taken.ok) {
        if (route.limit !== 'none') metrics.rateLimited(route.limit)
        throw refuse('rate_limited', { retryAfterSeconds: taken.retryAfterSeconds })
      }
      const reply = await run(await understand(message, params, open), open)
      await sendReply(response, open.requestId, reply)
    } catch (error) {
      if (response.headersSent) response.destroy()
      else if (error instanceof Refusal) await refused(response, open, error)
      else await failed(response, open, error)
    } finally {
      const seconds = (now().getTime() - started.getTime()) / 1000
      metrics.request({ route: operation.operationId, status: response.statusCode, seconds })
      log.debug('request', { requestId: open.requestId, route: operation.operationId, status: response.statusCode })
    }
  }
}

/** The query as Express's simple parser would give it, with repeated names kept as lists. */
function queryOf(message: IncomingMessage): Record<string, string | string[]> {
  const url = message.url ?? ''
  const at = url.indexOf('?')
  if (at < 0) return {}
  const query: Record<string, string | string[]> = Object.create(null)
  for (const [name, value] of new URLSearchParams(url.slice(at + 1))) {
    const before = query[name]
    query[name] = before === undefined ? value : [...(Array.isArray(before) ? before : [before]), value]
  }
  return query
}

async function withReceipt(recorded: Recorded<Reply>): Promise<Reply> {
  const { reply, epoch, index } = recorded
  // A reply that repeats an earlier one names that one's entry.
  const headers = { 'purser-log-index': `${epoch}/${index}`, ...reply.headers }
  if (!reply.receipt) return { ...reply, headers }
  const receipt = await recorded.receipt(reply.receipt.sinceSize)
  return { ...reply, headers, body: { json: reply.receipt.put(receipt) } }
}
