/** The answer to a refused caller: RFC 6750 section 3, in the form of RFC 9457, without further reasons. */
import { STATUS_CODES, type ServerResponse } from 'node:http'
import type { PurserError } from '../errors.ts'

export type Answer = { status: number; headers: Record<string, string> }

type Challenge = (error?: string) => Record<string, string>

/** Seconds, about the interval at which unavailable keys are requested again. */
const retryAfterSeconds = 5

/** @param about.bearer whether JWTs are accepted; otherwise there is no challenge */
export function answerTo(error: PurserError, { realm, bearer }: { realm: string; bearer: boolean }): Answer {
  const challenge: Challenge = (name) =>
    bearer ? { 'www-authenticate': `Bearer realm="${realm}"${name === undefined ? '' : `, error="${name}"`}` } : {}
  switch (error.code) {
    case 'unauthenticated':
      // 401 requires a challenge (RFC 9110 section 15.5.2).
      return { status: bearer ? 401 : 403, headers: challenge() }
    case 'bad_authorization':
      return { status: 400, headers: challenge('invalid_request') }
    case 'bad_token':
    case 'revoked':
      return { status: 401, headers: challenge('invalid_token') }
    case 'bad_peer':
      return { status: 403, headers: challenge('insufficient_scope') }
  }
  return { status: 503, headers: { 'retry-after': String(Math.ceil(error.retryAfterSeconds ?? retryAfterSeconds)) } }
}

export function send(response: ServerResponse, { status, headers }: Answer): void {
  // Another handler answered meanwhile, such as a timeout.
  if (response.headersSent) return
  const body = JSON.stringify({ type: 'about:blank', title: STATUS_CODES[status], status })
  response.writeHead(status, {
    ...headers,
    'cache-control': 'no-store',
    'content-type': 'application/problem+json',
    'content-length': Buffer.byteLength(body),
  })
  response.end(body)
}
