/** What no route takes: paths that aren't canonical, unknown paths, and methods that a path doesn't have. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { type RefusalCode, refuse } from '../errors.ts'
import type { Operation } from './openapi.ts'
import { faultOfFraming } from './framing.ts'
import { createOpenRequest } from './opening.ts'
import { createAnswers } from './refused.ts'
import { sendFailure } from './reply.ts'
import type { DoorParts } from './route.ts'

export type Unrouted = {
  /** What is wrong with a message whatever its route. */
  faultOf(message: IncomingMessage): RefusalCode | undefined
  turnAway: TurnAway
  answer(message: IncomingMessage, response: ServerResponse): Promise<void>
  /** What not even a door caught. */
  failed(error: unknown, message: IncomingMessage, response: ServerResponse): void
}

/**
 * Plain ASCII segments, one slash between them, no dot segments, no escapes: one spelling for each path, so that the
 * authorized path is the path that is read. Origin form only (RFC 9112 section 3.2.1).
 */
const canonical =
  /^\/(?:(?!\.{1,2}(?:\/|\?|$))[A-Za-z0-9._~:@+-]+(?:\/(?!\.{1,2}(?:\/|\?|$))[A-Za-z0-9._~:@+-]+)*)?(?:\?[^#]*)?$/

/** A parameter of many segments may hold slashes. */
function pattern({ path, manySegments }: Pick<Operation, 'path' | 'manySegments'>): RegExp {
  const literal = path.replaceAll(/[.*+?^$()|[\]\\]/g, '\\$&')
  return new RegExp(
    `^${literal.replaceAll(/\{([^}]+)\}/g, (_, name: string) => (manySegments.includes(name) ? '[^:]+' : '[^/:]+'))}$`,
  )
}

type Served = Pick<Operation, 'path' | 'manySegments'> & { methods: readonly string[] }

type TurnAway = (
  message: IncomingMessage,
  response: ServerResponse,
  code: RefusalCode,
  headers?: Record<string, string>,
) => Promise<void>

/** Refuses within the limits for strangers, as a route would. */
export function createTurnAway(parts: DoorParts): TurnAway {
  const openRequest = createOpenRequest(parts)
  const answers = createAnswers(parts)
  return async (message, response, code, headers = {}) => {
    const open = openRequest(message, 'request.refused')
    const admission = parts.limits.take({ address: open.source.ip, kind: 'public' })
    const refusal = admission.ok
      ? refuse(code, { headers })
      : refuse('rate_limited', { retryAfterSeconds: admission.retryAfterSeconds })
    await answers.refused(response, open, refusal)
  }
}

export function createUnrouted(parts: DoorParts, served: readonly Served[]): Unrouted {
  const openRequest = createOpenRequest(parts)
  const turnAway = createTurnAway(parts)
  const paths = served.map((route) => ({ methods: route.methods, path: pattern(route) }))

  return {
    faultOf: (message) => faultOfFraming(message) ?? (canonical.test(message.url ?? '') ? undefined : 'bad_path'),
    turnAway,
    answer(message, response) {
      const path = (message.url ?? '').split('?')[0] ?? ''
      const allowed = paths.filter((route) => route.path.test(path)).flatMap((route) => route.methods)
      if (allowed.length === 0) return turnAway(message, response, path.includes(':') ? 'bad_path' : 'not_found')
      return turnAway(message, response, 'method_not_allowed', { allow: [...new Set(allowed)].join(', ') })
    },
    failed(error, message, response) {
      const { requestId } = openRequest(message, 'request.refused')
      parts.log.error('request.failed', { requestId, err: error })
      if (response.headersSent) response.destroy()
      else sendFailure(response, requestId)
    },
  }
}
