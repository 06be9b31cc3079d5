/** Requests that match no route: a path that is not canonical, an unknown path, or a method that its path does not support. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { type RefusalCode, refuse } from '../errors.ts'
import { createErrorReplies } from './error-replies.ts'
import { faultOfFraming } from './framing.ts'
import type { Operation } from './openapi.ts'
import { createOpenRequest } from './opening.ts'
import { canonicalPath, pathPattern } from './path-pattern.ts'
import { sendFailure } from './reply.ts'
import type { EndpointParts } from './route.ts'

type Reject = (
  message: IncomingMessage,
  response: ServerResponse,
  code: RefusalCode,
  headers?: Record<string, string>,
) => Promise<void>

/** Refuses a message like a route does, within the rate limit of anonymous callers. */
export function createReject(parts: EndpointParts): Reject {
  const openRequest = createOpenRequest(parts)
  const errorReplies = createErrorReplies(parts)
  return async (message, response, code, headers = {}) => {
    const open = openRequest(message, 'request.refused')
    const verdict = parts.limits.take({ address: open.source.ip, kind: 'public' })
    const refusal = verdict.ok
      ? refuse(code, { headers })
      : refuse('rate_limited', { retryAfterSeconds: verdict.retryAfterSeconds })
    await errorReplies.refused(response, open, refusal)
  }
}

type Served = Pick<Operation, 'path' | 'manySegments'> & { methods: readonly string[] }

export function createUnmatched(parts: EndpointParts, served: readonly Served[]) {
  const openRequest = createOpenRequest(parts)
  const reject = createReject(parts)
  const paths = served.map((operation) => ({ methods: operation.methods, pattern: pathPattern(operation) }))

  return {
    /** The fault of a message that no route may receive. */
    faultOf: (message: IncomingMessage): RefusalCode | undefined =>
      faultOfFraming(message) ?? (canonicalPath.test(message.url ?? '') ? undefined : 'bad_path'),
    reject,
    /** Refuses a request that no route received. */
    answer(message: IncomingMessage, response: ServerResponse): Promise<void> {
      const path = (message.url ?? '').split('?')[0] ?? ''
      const allowed = paths.filter(({ pattern }) => pattern.test(path)).flatMap(({ methods }) => methods)
      if (allowed.length === 0) return reject(message, response, path.includes(':') ? 'bad_path' : 'not_found')
      return reject(message, response, 'method_not_allowed', { allow: [...new Set(allowed)].join(', ') })
    },
    /** Answers an error that an endpoint did not catch. */
    failed(error: unknown, message: IncomingMessage, response: ServerResponse): void {
      const { requestId } = openRequest(message, 'request.refused')
      parts.log.error('request.failed', { requestId, err: error })
      if (response.headersSent) response.destroy()
      else sendFailure(response, requestId)
    },
  }
}
