/** What no route takes: paths that aren't canonical, unknown paths, and methods that a path doesn't have. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { type RefusalCode, refuse } from '../errors.ts'
import { newId } from '../names/id.ts'
import { sendRefusal } from './reply.ts'
import type { DoorParts, Route } from './route.ts'

export type Unrouted = {
  isCanonical(url: string): boolean
  badPath(message: IncomingMessage, response: ServerResponse): void
  answer(message: IncomingMessage, response: ServerResponse, routes: readonly Route[]): void
}

/**
 * Plain ASCII segments, one slash between them, no dot segments, no escapes: one spelling for each path, so that what is
 * authorized is what is read (weaknesses.md, F). Origin form only.
 */
const canonical =
  /^\/(?:(?!\.{1,2}(?:\/|\?|$))[A-Za-z0-9._~:@+-]+(?:\/(?!\.{1,2}(?:\/|\?|$))[A-Za-z0-9._~:@+-]+)*)?(?:\?[^#]*)?$/

const pattern = (path: string): RegExp =>
  new RegExp(`^${path.replaceAll(/[.*+?^$()|[\]\\]/g, '\\$&').replaceAll(/\{[^}]+\}/g, '[^/:]+')}$`)

export function createUnrouted({ limits, metrics, randomBytes, addressOf }: DoorParts): Unrouted {
  function turnAway(message: IncomingMessage, response: ServerResponse, code: RefusalCode, headers = {}): void {
    const taken = limits.take({ address: addressOf(message), kind: 'public' })
    const refusal = taken.ok
      ? refuse(code, { headers })
      : refuse('rate_limited', { retryAfterSeconds: taken.retryAfterSeconds })
    metrics.refused(refusal.code)
    sendRefusal(response, newId('req', randomBytes), refusal)
  }
  return {
    isCanonical: (url) => canonical.test(url),
    badPath: (message, response) => turnAway(message, response, 'bad_path'),
    answer(message, response, routes) {
      const path = (message.url ?? '').split('?')[0] ?? ''
      const allowed = routes.filter((route) => pattern(route.path).test(path)).map((route) => route.method)
      if (allowed.length === 0) turnAway(message, response, 'not_found')
      else turnAway(message, response, 'method_not_allowed', { allow: [...new Set(allowed)].join(', ') })
    },
  }
}
