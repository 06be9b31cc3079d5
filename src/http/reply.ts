/** Writes a reply to the wire. No other file writes to a response. */
import type { ServerResponse } from 'node:http'
import { pipeline } from 'node:stream/promises'
import { TLSSocket } from 'node:tls'
import { type Refusal, type RefusalCode, refusals, shown } from '../errors.ts'
import type { Reply } from './request.ts'

/** For every reply of the API: nothing is cached, sniffed, framed or run. */
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

/** The request knows its socket, also while an earlier response has it. */
const headersFor = ({ req }: ServerResponse): Readonly<Record<string, string>> =>
  req.socket instanceof TLSSocket ? secureHeaders : apiHeaders

/** The connection ends with the reply where the rest of a message is not read, or where the next one may begin is unknown. */
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
    response.writeHead(status, { ...headersFor(response), 'content-type': body.type, ...headers })
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
      ...(endsConnection.has(refusal.code) && { connection: 'close' }),
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
