/** What a refused caller is told: RFC 6750 section 3, as RFC 9457 writes problems, and nothing of the reason beyond that. */
import { STATUS_CODES, type ServerResponse } from 'node:http'
import type { PurserError } from '../errors.ts'

export type Answer = { status: number; headers: Record<string, string> }

type Challenge = (error?: string) => Record<string, string>

/** Seconds: what keeps keys from being had is tried again about as often. */
const retryAfterSeconds = 5

/** @param about.bearer whether JWTs are taken here; otherwise there is nothing that a caller could be challenged to send */
export function answerTo(error: PurserError, { realm, bearer }: { realm: string; bearer: boolean }): Answer {
  const challenge: Challenge = (name) =>
    bearer ? { 'www-authenticate': `Bearer realm="${realm}"${name === undefined ? '' : `, error="${name}"`}` } : {}
  switch (error.code) {
    case 'unauthenticated':
      // 401 without a challenge is none (RFC 9110 section 15.5.2).
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
  // Something else answered meanwhile, for example that this took too long.
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
