/** What is known of a request before anything is decided: an id of our own, a time, and where it comes from. */
import type { IncomingMessage } from 'node:http'
import { type Action, cut } from '../audit/entry.ts'
import type { Opening } from '../audit/seal.ts'
import { newId } from '../names/id.ts'

export type OpeningParts = {
  now: () => Date
  randomBytes: (size: number) => Buffer
  /** The caller's address, behind proxies that are trusted. */
  addressOf: (message: IncomingMessage) => string
}

export type OpenRequest = (message: IncomingMessage, action: Action) => Opening & { source: { ip: string } }

export function createOpenRequest({ now, randomBytes, addressOf }: OpeningParts): OpenRequest {
  return (message, action) => {
    const userAgent = message.headers['user-agent']
    return {
      requestId: newId('req', randomBytes),
      action,
      time: now(),
      actor: { kind: 'anonymous' },
      source: { ip: addressOf(message), ...(userAgent !== undefined && { userAgent: cut(userAgent) }) },
    }
  }
}
