/**
 * The steps of every request: rate limit → body → schema → caller → permission → bound → approval → handler → append →
 * release. A failure at any step is recorded, within the limits for anonymous callers, and answered from one table (errors.ts).
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { type Acting, actorOf } from '../actions/context.ts'
import { freshSnapshot } from '../actions/freshness.ts'
import { whileSessionLasts } from '../actions/sessions/lasting.ts'
import type { FirstUse } from '../actions/tokens/first-use.ts'
import type { NoteUse } from '../actions/tokens/last-use.ts'
import type { Recorded, Recorder } from '../audit/record.ts'
import type { Opening } from '../audit/seal.ts'
import { type Caller, boundOf, isLiveCaller } from '../authorize/caller.ts'
import { snapshotFor } from '../authorize/scope.ts'
import { type Problem, Refusal, refuse } from '../errors.ts'
import { hasSecretPath } from '../names/bound.ts'
import { takesCredential } from '../operators/permissions.ts'
import type { Snapshot, Snapshots } from '../store/snapshot.ts'
import type { Logger } from '../telemetry/log.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import { type ApprovalParts, createApprovalStep } from './approval.ts'
import { readBody } from './body.ts'
import { type CallerParts, createIdentifyCaller, presentedActor } from './caller.ts'
import { clientCertificate } from './client-certificate.ts'
import { decideForCaller, refuseUnlessLive } from './current-caller.ts'
import { createErrorReplies } from './error-replies.ts'
import type { Limits } from './limits.ts'
import type { Operation } from './openapi.ts'
import { type OpeningParts, createOpenRequest } from './opening.ts'
import { parseQuery } from './query.ts'
import { recordedRead } from './recorded-read.ts'
import { sendReply } from './reply.ts'
import { isForeign } from './session-cookie.ts'
import type { ApiRequest, Reply } from './request.ts'
import type { Issue, Route } from './route-kinds.ts'

export type EndpointParts = OpeningParts &
  CallerParts &
  ApprovalParts & {
    recorder: Recorder
    snapshots: Pick<Snapshots, 'current' | 'age' | 'refresh'>
    limits: Limits
    log: Logger
    metrics: Metrics
    /** Ends the bootstrap token that an admin token came from. */
    firstUse: FirstUse
    noteUse: NoteUse
  }

/** Serves the requests of one route. */
export type Endpoint = (
  message: IncomingMessage,
  response: ServerResponse,
  params: Record<string, string>,
) => Promise<void>

export function createEndpoint(route: Route, operation: Operation, parts: EndpointParts): Endpoint {
  const { recorder, snapshots, limits, log, metrics, now } = parts
  const openRequest = createOpenRequest(parts)
  const errorReplies = createErrorReplies(parts)
  const identifyCaller = createIdentifyCaller(route, parts)
  const approval = createApprovalStep(route, parts)
  const needsCredential = takesCredential(route.permission)

  function checkLimit(ip: string): void {
    const verdict = limits.take({ address: ip, kind: route.limit })
    if (verdict.ok) return
    if (route.limit !== 'none') metrics.rateLimited(route.limit)
    throw refuse('rate_limited', { retryAfterSeconds: verdict.retryAfterSeconds })
  }

  async function readRequest(
    message: IncomingMessage,
    params: Record<string, string>,
    open: Opening,
  ): Promise<ApiRequest> {
    const { values, problems } = operation.validateParams({
      path: params,
      query: parseQuery(message.url ?? ''),
      headers: message.headers,
    })
    if (problems.length > 0 || !values) throw invalid(problems)
    const { body, mediaType } = await readBody(message, operation)
    const faults = operation.validateBody(body, mediaType)
    if (faults.length > 0) throw invalid(faults)
    // An append checks the revision in the database; a read does not.
    if (route.kind === 'read' && needsCredential) await freshSnapshot(snapshots)
    // The append of an `issue` route also checks the session, so its look-up may come from the cache.
    const caller = await identifyCaller(message, snapshots.current(), open.time, {
      mayUseCache: route.kind === 'issue',
    })
    open.actor = actorOf(caller, values.reason)
    if (caller.kind === 'operator' && !caller.session) {
      parts.noteUse(caller.tokenId, open.time)
      if (caller.firstUse) await parts.firstUse(open, caller.tokenId)
    }
    const { ifMatch, ifNoneMatch, idempotencyKey, approval: approvalId, reason, lastEventId } = values
    const request: ApiRequest = {
      requestId: open.requestId,
      operation: operation.operationId,
      time: open.time,
      address: open.source?.ip ?? '',
      params: Object.fromEntries(Object.entries(values.path).map(([name, value]) => [name, String(value)])),
      query: values.query,
      target: message.url ?? '',
      body,
      caller,
      clientCertificate: () => clientCertificate(message, open.time),
      isForeign: () => isForeign(message),
      ...(ifMatch !== undefined && { ifMatch: String(ifMatch) }),
      ...(ifNoneMatch !== undefined && { ifNoneMatch }),
      ...(idempotencyKey !== undefined && { idempotencyKey }),
      ...(approvalId !== undefined && { approval: approvalId }),
      ...(reason !== undefined && { reason }),
      ...(lastEventId !== undefined && { lastEventId }),
    }
    refuseOutside(request)
    return request
  }

  async function run(request: ApiRequest, open: Opening, message: IncomingMessage): Promise<Reply> {
    const identifyAgain = (snapshot: Snapshot): Promise<Caller> =>
      identifyCaller(message, snapshot, open.time, { mayUseCache: false })
    const release = async (handler: Issue): Promise<Reply> =>
      withReceipt(await recorder.grant(open, decideForCaller(handler, request, identifyAgain)))
    switch (route.kind) {
      case 'read':
        return route.action !== 'none' && request.caller.kind === 'operator'
          ? release(recordedRead(route, route.handler))
          : route.handler(request, snapshotFor(request.caller, snapshots.current()))
      case 'issue':
        return release(approval.issue(route.handler))
      case 'change': {
        const prepared = await route.prepare(request, snapshotFor(request.caller, snapshots.current()))
        const handler = approval.change(prepared)
        return withReceipt(await acting(request, open).begin((tx, snapshot) => handler(request, tx, snapshot)))
      }
      case 'act':
        return withReceipt(await route.handler(request, acting(request, open)))
    }
  }

  const acting = (request: ApiRequest, open: Opening): Acting => ({
    open,
    begin: (run) =>
      recorder.change(open, async (tx, snapshot) => {
        refuseUnlessLive(request, snapshot)
        return whileSessionLasts(request, tx, await run(tx, snapshotFor(request.caller, snapshot)))
      }),
    finish: (run) => recorder.change(open, (tx, snapshot) => run(tx, snapshotFor(request.caller, snapshot))),
  })

  /** Cuts a long reply off as soon as its caller loses the right to it. */
  function whileLive(caller: Caller, reply: Reply): Reply {
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

  async function sendError(
    message: IncomingMessage,
    response: ServerResponse,
    open: Opening,
    error: unknown,
  ): Promise<void> {
    if (response.headersSent) return void response.destroy()
    if (!(error instanceof Refusal)) return errorReplies.failed(response, open, operation.operationId, error)
    if (open.actor.kind === 'anonymous' && needsCredential) {
      open.actor = presentedActor(message, snapshots.current(), open.time)
    }
    return errorReplies.refused(response, open, error)
  }

  return async (message, response, params) => {
    const open = openRequest(message, route.action === 'none' ? 'request.refused' : route.action)
    let repliedAt: Date | undefined
    try {
      checkLimit(open.source.ip)
      const request = await readRequest(message, params, open)
      const reply = await run(request, open, message)
      // A watch lasts as long as its reader likes: only the time until its start counts.
      if ('stream' in reply.body && reply.body.live) repliedAt = now()
      await sendReply(response, open.requestId, whileLive(request.caller, reply))
    } catch (error) {
      await sendError(message, response, open, error)
    } finally {
      const seconds = ((repliedAt ?? now()).getTime() - open.time.getTime()) / 1000
      metrics.request({ route: operation.operationId, status: response.statusCode, seconds })
      log.debug('request', { requestId: open.requestId, route: operation.operationId, status: response.statusCode })
    }
  }
}

/** Outside the caller's bound there is no secret. @throws Refusal `not_found`, as for an unused path */
function refuseOutside({ caller, params: { path } }: ApiRequest): void {
  if (path !== undefined && !hasSecretPath(boundOf(caller), path)) throw refuse('not_found')
}

const invalid = (errors: Problem[]): Refusal => refuse('invalid_request', { errors })

async function withReceipt(recorded: Recorded<Reply>): Promise<Reply> {
  const { result: reply, epoch, index } = recorded
  const { status, receipt } = reply
  // The reply to a repeated request has the index of the earlier entry.
  const headers = { 'purser-log-index': `${epoch}/${index}`, ...reply.headers }
  const body = receipt ? { json: receipt.put(await recorded.receipt(receipt.since)) } : reply.body
  return { headers, body, ...(status !== undefined && { status }) }
}
