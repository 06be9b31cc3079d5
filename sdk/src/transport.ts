/** Requests to one verified server: bounded in time and size, no redirects, no proxy, no cookies. */
import { Agent, type IncomingHttpHeaders, type IncomingMessage, request as startRequest } from 'node:http'
import type { Socket } from 'node:net'
import type { Address } from './address.ts'
import { withDeadline } from './deadline.ts'
import { PurserError } from './errors.ts'
import { type Anchors, connectionError, openConnection } from './handshake.ts'
import { version } from './version.ts'

export type Request = {
  method: 'GET' | 'POST'
  path: string
  /** JSON text. */
  body?: string
  /** Bytes of the answer's body. */
  maxBytes: number
}
export type Answer = { status: number; headers: IncomingHttpHeaders; text: string }

export type Transport = {
  /** @throws PurserError, and nothing else */
  exchange(request: Request, signal?: AbortSignal): Promise<Answer>
  /** Closes the connection that is kept for the next exchange. */
  rest(): void
  /** Ends what is under way too; every exchange after it fails with `closed`. */
  close(): void
}

export function createTransport(parts: { address: Address; anchors: Anchors; timeoutMs: number }): Transport {
  const { address, anchors, timeoutMs } = parts
  const closing = new AbortController()
  // An agent that never connects: it keeps the connection that was opened and verified for it.
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  let open: Socket | undefined
  agent.createConnection = () => open

  async function send(request: Request, signal: AbortSignal): Promise<Answer> {
    if (!open || open.destroyed) open = await openConnection(address, anchors, signal)
    try {
      return await answerTo(request, address, agent, signal)
    } catch (error) {
      open.destroy()
      throw error
    }
  }

  return {
    exchange: (request, signal) =>
      withDeadline(timeoutMs, [signal, closing.signal], `${request.method} ${address.origin}${request.path}`, (both) =>
        send(request, both),
      ),
    rest() {
      open?.destroy()
      open = undefined
    },
    close() {
      closing.abort(new PurserError('closed', 'this Purser client was closed'))
      open?.destroy()
      agent.destroy()
    },
  }
}

function answerTo(request: Request, address: Address, agent: Agent, signal: AbortSignal): Promise<Answer> {
  const { method, path, body } = request
  const headers = {
    host: new URL(address.origin).host,
    accept: 'application/json',
    'accept-encoding': 'identity',
    'user-agent': `purser-sdk/${version} node/${process.versions.node}`,
    ...(body !== undefined && { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }),
  }
  return new Promise((resolve, reject) => {
    const outgoing = startRequest({ agent, method, path, headers, maxHeaderSize: 16_384, signal })
    outgoing.on('error', (error) => reject(signal.aborted ? signal.reason : answerError(error, address)))
    outgoing.on('upgrade', (_, socket) => {
      socket.destroy()
      reject(new PurserError('bad_reply', `${address.origin} answered 101, which was not asked for`))
    })
    outgoing.on('response', (response) => {
      readAnswer(response, request, address).then(resolve, (error: unknown) => {
        outgoing.destroy()
        reject(signal.aborted ? signal.reason : error)
      })
    })
    outgoing.end(body)
  })
}

function answerError(error: Error, address: Address): PurserError {
  const code = 'code' in error ? String(error.code) : ''
  if (code === 'HPE_HEADER_OVERFLOW')
    return new PurserError('too_large', `${address.origin} sent a header of more than 16 KiB`)
  if (code.startsWith('HPE_')) return new PurserError('bad_reply', `${address.origin} does not speak HTTP (${code})`)
  return connectionError(error, address)
}

async function readAnswer(response: IncomingMessage, { maxBytes }: Request, { origin }: Address): Promise<Answer> {
  const { statusCode: status = 0, headers } = response
  if (status >= 300 && status < 400) {
    throw new PurserError(
      'redirected',
      `${origin} answered ${status}; redirects are not followed, so give its own address`,
    )
  }
  if ((headers['content-encoding'] ?? 'identity').toLowerCase() !== 'identity') {
    throw new PurserError('bad_reply', `${origin} compressed its answer, which was not asked for`)
  }
  const tooLarge = (): PurserError =>
    new PurserError('too_large', `${origin} sent more than ${maxBytes} bytes, which no answer of Purser needs`)
  if (Number(headers['content-length'] ?? 0) > maxBytes) throw tooLarge()
  const chunks: Buffer[] = []
  let size = 0
  try {
    for await (const chunk of response) {
      const bytes = Buffer.from(chunk)
      size += bytes.length
      if (size > maxBytes) throw tooLarge()
      chunks.push(bytes)
    }
  } catch (error) {
    if (error instanceof PurserError) throw error
    throw new PurserError('incomplete', `${origin} broke off in the middle of its answer`, { cause: error })
  }
  if (!response.complete) throw new PurserError('incomplete', `${origin} broke off in the middle of its answer`)
  return { status, headers, text: Buffer.concat(chunks, size).toString('utf8') }
}
