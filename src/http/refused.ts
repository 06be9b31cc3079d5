/**
 * What a refused request leaves behind: its entry, or within the limits for strangers its count, and only then the
 * answer. The same for routes and for what no route takes.
 */
import type { ServerResponse } from 'node:http'
import { type Recorder, isDatabaseAway } from '../audit/record.ts'
import type { Opening } from '../audit/seal.ts'
import { Refusal, type RefusalCode, type RefusalInfo, refuse } from '../errors.ts'
import type { Logger } from '../telemetry/log.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import type { Limits } from './limits.ts'
import { sendFailure, sendRefusal } from './reply.ts'

export type RefusalParts = {
  recorder: Pick<Recorder, 'note'>
  limits: Pick<Limits, 'noteRefusal'>
  log: Pick<Logger, 'error'>
  metrics: Pick<Metrics, 'refused'>
}

export type Answers = {
  refused(response: ServerResponse, open: Opening, refusal: Refusal): Promise<void>
  /**
   * Our own fault: recorded where it can be, within the same limits. A database that is away is nobody's, and to record
   * that would only wait for it once more.
   */
  failed(response: ServerResponse, open: Opening, route: string, error: unknown): Promise<void>
}

/** Said because the database doesn't answer: to record that would only wait for it once more. Nothing was decided. */
const unrecordable: ReadonlySet<RefusalCode> = new Set(['replica_behind', 'log_unavailable'])

export function createAnswers({ recorder, limits, log, metrics }: RefusalParts): Answers {
  function isRecorded(open: Opening, code: RefusalCode, { attestor, actor, proven }: RefusalInfo = {}): boolean {
    // A session or an API token is registered, so its refusals are not limited, except those above a rate limit: a loop
    // would buy an append for each request.
    const known = open.actor.kind !== 'anonymous' || actor?.kind === 'operator'
    if (known && code !== 'rate_limited') return true
    return limits.noteRefusal({ reason: code, attestor, address: open.source?.ip, proven }) === 'record'
  }

  async function record(open: Opening, { code, info }: Refusal): Promise<void> {
    const { explanation, attestor, errors } = info
    // The attestor that an unverified proof led to is ours, so it may be named and searched for.
    const actor = { ...open.actor, ...(attestor !== undefined && { attestor }), ...info.actor }
    // Which part was refused, for explain; what strangers get wrong buys no room in the log.
    const detail = { ...explanation, ...(errors && actor.kind !== 'anonymous' && { errors }) }
    await recorder.note(open, 'refused', { reason: code, actor, ...(Object.keys(detail).length > 0 && { detail }) })
  }

  /** What the caller is told: the refusal, or that not even that could be written, and nothing else. */
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
    async refused(response, open, refusal) {
      metrics.refused(refusal.code)
      sendRefusal(response, open.requestId, await settle(open, refusal))
    },
    async failed(response, open, route, error) {
      if (isDatabaseAway(error)) {
        log.error('store.unreachable', { requestId: open.requestId, route, err: error })
        metrics.refused('unavailable')
        return sendRefusal(response, open.requestId, refuse('unavailable', { retryAfterSeconds: 2 }))
      }
      log.error('request.failed', { requestId: open.requestId, route, err: error })
      const named = open.action !== 'request.refused'
      if (named && isRecorded(open, 'internal')) await recorder.note(open, 'failed', {}).catch(() => undefined)
      sendFailure(response, open.requestId)
    },
  }
}
