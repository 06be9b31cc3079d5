/**
 * Replies to requests that were refused or failed. A refusal is first recorded, or within the limits for anonymous callers
 * counted, and then sent. Routes use it, and so do requests that match no route.
 */
import type { ServerResponse } from 'node:http'
import { type Recorder, isDatabaseAway } from '../audit/record.ts'
import type { Opening } from '../audit/seal.ts'
import { Refusal, type RefusalCode, type RefusalInfo, refuse } from '../errors.ts'
import type { Logger } from '../telemetry/log.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import type { Limits } from './limits.ts'
import { sendFailure, sendRefusal } from './reply.ts'

export type ErrorReplyParts = {
  recorder: Pick<Recorder, 'note'>
  limits: Pick<Limits, 'noteRefusal'>
  log: Pick<Logger, 'error'>
  metrics: Pick<Metrics, 'refused'>
}

/** Refusals that mean that the database does not answer. Nothing was decided, and recording them would wait once more. */
const unrecordable: ReadonlySet<RefusalCode> = new Set(['replica_behind', 'log_unavailable'])

export function createErrorReplies({ recorder, limits, log, metrics }: ErrorReplyParts) {
  function isRecorded(open: Opening, code: RefusalCode, { attestor, actor, proven }: RefusalInfo = {}): boolean {
    // Sessions and API tokens are registered, so their refusals are recorded without a limit. Those of a rate limit are
    // not: otherwise a client in a loop would cause an append with each request.
    const isOperator = actor?.kind === 'operator' || actor?.operatorRole !== undefined
    const isRegistered = open.actor.kind !== 'anonymous' || isOperator
    if (isRegistered && code !== 'rate_limited') return true
    return limits.noteRefusal({ reason: code, attestor, address: open.source?.ip, proven }) === 'record'
  }

  async function record(open: Opening, { code, info }: Refusal): Promise<void> {
    const { explanation, attestor, errors } = info
    // The name of a configured attestor, also when the proof was not verified, so that a search finds the entry.
    const actor = { ...open.actor, ...(attestor !== undefined && { attestor }), ...info.actor }
    // For `explain`. Errors of anonymous callers are left out: they would let them fill the log.
    const detail = { ...explanation, ...(errors && actor.kind !== 'anonymous' && { errors }) }
    await recorder.note(open, 'refused', { reason: code, actor, ...(Object.keys(detail).length > 0 && { detail }) })
  }

  /** Records or counts a refusal. Returns what the caller receives: the refusal, or that it could not be recorded. */
  async function settle(open: Opening, refusal: Refusal): Promise<Refusal> {
    if (unrecordable.has(refusal.code)) return refusal
    try {
      if (isRecorded(open, refusal.code, refusal.info)) await record(open, refusal)
      return refusal
    } catch (error) {
      log.error('log.unavailable', { requestId: open.requestId, err: error })
      return error instanceof Refusal ? error : refuse('log_unavailable', { retryAfterSeconds: 2 })
    }
  }

  return {
    async refused(response: ServerResponse, open: Opening, refusal: Refusal): Promise<void> {
      metrics.refused(refusal.code)
      sendRefusal(response, open.requestId, await settle(open, refusal))
    },
    /**
     * A fault of the server. It is recorded within the same limits, unless the database is unreachable: recording that
     * would wait for the database once more.
     */
    async failed(response: ServerResponse, open: Opening, route: string, error: unknown): Promise<void> {
      if (isDatabaseAway(error)) {
        log.error('store.unreachable', { requestId: open.requestId, route, err: error })
        metrics.refused('unavailable')
        return sendRefusal(response, open.requestId, refuse('unavailable', { retryAfterSeconds: 2 }))
      }
      log.error('request.failed', { requestId: open.requestId, route, err: error })
      const hasAction = open.action !== 'request.refused'
      if (hasAction && isRecorded(open, 'internal')) await recorder.note(open, 'failed', {}).catch(() => undefined)
      sendFailure(response, open.requestId)
    },
  }
}
