import type { ClientRequest, IncomingHttpHeaders, IncomingMessage, RequestOptions } from 'node:http'
import { OutboundError } from './errors.ts'

/** A reply with a status 2xx. */
export type Reply = { status: number; headers: IncomingHttpHeaders; body: Buffer }

const tlsFault =
  /^(?:ERR_TLS|ERR_SSL|ERR_OSSL|EPROTO|CERT_|CRL_|UNABLE_TO_|ERROR_IN_|SELF_SIGNED|DEPTH_ZERO|INVALID_|PATH_LENGTH|HOSTNAME_)/

/** Sends a request and reads its reply. Calls `start` a second time when a kept connection turns out to be closed. */
export function exchange(
  start: (agent: RequestOptions['agent']) => ClientRequest,
  agent: RequestOptions['agent'],
  options: { body: string | Uint8Array | undefined; maxBytes: number },
  limit: AbortSignal,
): Promise<Reply> {
  return new Promise((resolve, reject) => {
    let request: ClientRequest
    try {
      request = start(agent)
    } catch {
      // Node throws for header values with control characters. Its message is dropped, since it may quote them.
      reject(new OutboundError('bad_request', 'a header or the private roots are not well-formed'))
      return
    }
    const fail = (error: OutboundError): void => {
      reject(error)
      request.destroy()
    }
    // A request that waits for a connection emits no event, so the promise is settled here.
    const onLimit = (): void => {
      fail(limit.reason instanceof OutboundError ? limit.reason : new OutboundError('aborted', 'aborted by the caller'))
    }
    if (limit.aborted) onLimit()
    else limit.addEventListener('abort', onLimit, { once: true })

    let isAnswered = false
    request.on('error', (error) => {
      const closed = request.reusedSocket && !isAnswered && !limit.aborted
      // RFC 9110 section 9.2.2: an idempotent request may be sent again, here on a new connection.
      if (closed && request.method === 'GET' && agent !== false) resolve(exchange(start, false, options, limit))
      else fail(toOutboundError(error))
    })
    request.on('response', (response) => {
      isAnswered = true
      readReply(response, options.maxBytes).then(resolve, (error: unknown) => {
        fail(toOutboundError(error))
      })
    })
    request.on('upgrade', (_response, socket) => {
      socket.destroy()
      fail(new OutboundError('bad_status', 'the server answered 101, which was not requested', 101))
    })
    request.end(options.body)
  })
}

async function readReply(response: IncomingMessage, maxBytes: number): Promise<Reply> {
  const status = response.statusCode ?? 0
  const { headers } = response
  if (status >= 300 && status < 400)
    throw new OutboundError('redirect', `the server answered ${String(status)}, and redirects are not followed`, status)
  if (status < 200 || status > 299)
    throw new OutboundError('bad_status', `the server answered ${String(status)}`, status)
  if ((headers['content-encoding'] ?? 'identity').toLowerCase() !== 'identity')
    throw new OutboundError('bad_body', 'the answer is compressed, which was not requested')
  const tooLarge = (): OutboundError =>
    new OutboundError('too_large', `the answer is larger than ${String(maxBytes)} bytes`)
  if (Number(headers['content-length'] ?? 0) > maxBytes) throw tooLarge()

  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of response) {
    const bytes = Buffer.from(chunk)
    size += bytes.length
    if (size > maxBytes) throw tooLarge()
    chunks.push(bytes)
  }
  if (!response.complete) throw new OutboundError('unreachable', 'the connection broke before the end of the answer')
  return { status, headers, body: Buffer.concat(chunks, size) }
}

function toOutboundError(error: unknown): OutboundError {
  if (error instanceof OutboundError) return error
  const code = error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : 'unknown'
  if (tlsFault.test(code)) return new OutboundError('tls', `no verified TLS connection (${code})`)
  if (code === 'HPE_HEADER_OVERFLOW')
    return new OutboundError('too_large', "the answer's header is larger than 16384 bytes")
  if (code.startsWith('HPE_')) return new OutboundError('bad_body', `the answer is not HTTP (${code})`)
  return new OutboundError('unreachable', `no answer (${code})`)
}
