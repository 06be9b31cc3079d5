/** Writes replies. No other file writes to a response. */
import type { ServerResponse } from 'node:http'
import { pipeline } from 'node:stream/promises'
import { TLSSocket } from 'node:tls'
import { type Refusal, type RefusalCode, refusals, shown } from '../errors.ts'
import type { Reply } from './request.ts'

/** Headers of every reply: it is not cached, sniffed, framed or executed. */
const apiHeaders = {
  'cache-control': 'no-store',
  'x-content-type-options': 'nosniff',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
} as const

/** Only over TLS (RFC 6797 section 7.2). */
const secureHeaders = { ...apiHeaders, 'strict-transport-security': 'max-age=31536000' } as const

/** `request.socket` is also set while an earlier response uses the connection; `response.socket` is not. */
const headersFor = ({ req }: ServerResponse): Readonly<Record<string, string>> =>
  req.socket instanceof TLSSocket ? secureHeaders : apiHeaders

/** Refusals that close the connection: the rest of the message is not read, or its end is unknown. */
const endsConnection: ReadonlySet<RefusalCode> = new Set([
  'too_large',
  'length_required',
  'headers_too_large',
  'bad_http',
  'request_timeout',
])

function send(response: ServerResponse, status: number, headers: Record<string, string>, body: Buffer | string): void {
  const length = Buffer.byteLength(body)
  response.writeHead(status, { 'content-length': length, ...headersFor(response), ...headers })
  // Node writes head and body at once. As many bytes as characters mean ASCII, which Node copies fastest as Latin-1.
  response.end(body, length === body.length ? 'latin1' : 'utf8')
}

export async function sendReply(response: ServerResponse, requestId: string, reply: Reply): Promise<void> {
  const headers = { 'purser-request-id': requestId, ...reply.headers }
  const { body } = reply
  const status = reply.status ?? 200
  if (status === 304) {
    // RFC 9111 section 3.2: a cache takes over the headers, so none may describe the absent body.
    response.writeHead(304, { ...headersFor(response), ...headers }).end()
  } else if (!('stream' in body)) {
    const content = 'json' in body ? JSON.stringify(body.json) : 'text' in body ? body.text : body.bytes
    const type = 'json' in body ? 'application/json' : body.type
    send(response, status, { 'content-type': type, ...headers }, content)
  } else {
    response.writeHead(status, { ...headersFor(response), 'content-type': body.type, ...headers })
    const { live } = body
    if (live) {
      response.once('close', live.onClose)
      if (response.closed) live.onClose()
    }
    await pipeline(body.stream, response, live ? { signal: live.cut } : {})
  }
}

/** RFC 9457. A code that the caller must not see is replaced (errors.ts). */
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
      ...(endsConnection.has(refusal.code) && { connection: 'close' }),
      ...headers,
    },
    JSON.stringify(problem),
  )
}

/** A fault of the server. The caller sees the request id only. */
export function sendFailure(response: ServerResponse, requestId: string): void {
  const { status, title } = refusals.internal
  const problem = { type: 'urn:purser:problem:internal', title, status, code: 'internal', requestId }
  const headers = { 'content-type': 'application/problem+json', 'purser-request-id': requestId }
  send(response, status, headers, JSON.stringify(problem))
}
