/** Opens the log entry of a request: request id, time and source. The caller is not identified yet. */
import type { IncomingMessage } from 'node:http'
import { type Action, cut } from '../audit/entry.ts'
import type { Opening } from '../audit/seal.ts'
import { newId } from '../names/id.ts'

export type OpeningParts = {
  now: () => Date
  randomBytes: (size: number) => Buffer
  /** The caller's address, also behind trusted proxies. */
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
