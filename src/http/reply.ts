/** Turns what was decided into bytes on the wire. The only place that writes to a response. */
import type { ServerResponse } from 'node:http'
import { pipeline } from 'node:stream/promises'
import { type Refusal, refusals, shown } from '../errors.ts'
import type { Reply } from './request.ts'

/** For every reply of the API: nothing is cached, sniffed, framed or run. */
const apiHeaders = {
  'cache-control': 'no-store',
  'x-content-type-options': 'nosniff',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'referrer-policy': 'no-referrer',
} as const

function send(response: ServerResponse, status: number, headers: Record<string, string>, body: Buffer | string): void {
  const length = Buffer.byteLength(body)
  response.writeHead(status, { 'content-length': length, ...apiHeaders, ...headers })
  // Node joins head and text into one write. As many bytes as characters is ASCII, which is the same in Latin-1, and that
  // it copies without looking at each character.
  response.end(body, length === body.length ? 'latin1' : 'utf8')
}

export async function sendReply(response: ServerResponse, requestId: string, reply: Reply): Promise<void> {
  const headers = { 'purser-request-id': requestId, ...reply.headers }
  const { body } = reply
  const status = reply.status ?? 200
  if ('json' in body) {
    send(response, status, { 'content-type': 'application/json', ...headers }, JSON.stringify(body.json))
  } else if ('text' in body) send(response, status, { 'content-type': body.type, ...headers }, body.text)
  else if ('bytes' in body) send(response, status, { 'content-type': body.type, ...headers }, body.bytes)
  else {
    response.writeHead(status, { ...apiHeaders, 'content-type': body.type, ...headers })
    const { live } = body
    if (live) {
      response.once('close', live.onClose)
      if (response.closed) live.onClose()
    }
    await pipeline(body.stream, response, live ? { signal: live.cut } : {})
  }
}

/** RFC 9457. What the caller may not know is replaced by what stands for it. */
export function sendRefusal(response: ServerResponse, requestId: string, refusal: Refusal): void {
  const { code, status, title } = shown(refusal.code)
  const { detail, errors, members, retryAfterSeconds, headers } = refusal.info
  const hidden = code !== refusal.code
  const problem = {
    type: `urn:purser:problem:${code}`,
    title,
    status,
    code,
    requestId,
    ...(!hidden && detail !== undefined && { detail }),
    ...(!hidden && errors && { errors }),
    ...(!hidden && members),
  }
  const retry = retryAfterSeconds ?? (status === 503 || status === 429 ? 1 : undefined)
  send(
    response,
    status,
    {
      'content-type': 'application/problem+json',
      'purser-request-id': requestId,
      ...(retry !== undefined && { 'retry-after': String(Math.ceil(retry)) }),
      // The rest of a body that is too large is not read.
      ...(refusal.code === 'too_large' && { connection: 'close' }),
      ...headers,
    },
    JSON.stringify(problem),
  )
}

/** Our own fault: a request id and nothing else. */
export function sendFailure(response: ServerResponse, requestId: string): void {
  const { status, title } = refusals.internal
  const problem = { type: 'urn:purser:problem:internal', title, status, code: 'internal', requestId }
  const headers = { 'content-type': 'application/problem+json', 'purser-request-id': requestId }
  send(response, status, headers, JSON.stringify(problem))
}
