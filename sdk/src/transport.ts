/** Requests to one verified server: bounded in time and size, no redirects, no proxy, no cookies. */
import { Agent, type IncomingHttpHeaders, type IncomingMessage, request as startRequest } from 'node:http'
import type { Socket } from 'node:net'
import type { Address } from './address.ts'
import { createClosing } from './closing.ts'
import { withDeadline } from './deadline.ts'
import { PurserError } from './errors.ts'
import { type Anchors, connectionError, openConnection } from './handshake.ts'
import { type OpenRequest, type Streamed, openStream } from './open-stream.ts'
import { version } from './version.ts'

/** A live X.509-SVID with its key, presented to the server: PEM. */
export type Presented = { key: string; cert: string }

export type Request = {
  method: 'GET' | 'POST' | 'DELETE'
  path: string
  /** JSON text. */
  body?: string
  /** Bytes of the answer's body. */
  maxBytes: number
  /** The certificate that the connection is made with; none unless given. */
  as?: Presented
  /** An access token. */
  bearer?: string
  /** Called as the request is written: from then on the server may have acted on it. Nothing is sent when it throws. */
  onSent?: () => void
  /** Called by `ask` with the status of each answer. */
  onAnswer?: (status: number) => void
}
export type Answer = { status: number; headers: IncomingHttpHeaders; bytes: Buffer; text: string }

export type Transport = {
  /** @throws PurserError, and nothing else */
  exchange(request: Request, signal?: AbortSignal): Promise<Answer>
  /** Closes the connections that are kept for the next exchange. */
  rest(): void
  /** Ends what is under way too; every exchange after it fails with `closed`. */
  close(): void
}

export type Streams = {
  /**
   * An answer that goes on until either side ends it, or `signal` does, on a connection of its own.
   * @throws PurserError
   */
  open(request: OpenRequest, signal: AbortSignal): Promise<Answer | Streamed>
}

/** One connection, and an agent that never connects: it keeps what was opened and verified for it. */
type Line = { socket: Socket; agent: Agent; cert: string | undefined; busy: boolean }

/** @param parts.anchors asked at each new connection, since the roots of a trust domain move on */
export function createTransport(parts: {
  address: Address
  anchors: (signal: AbortSignal) => Promise<Anchors>
  timeoutMs: number
}): Transport & Streams {
  const { address, anchors, timeoutMs } = parts
  const closing = createClosing()
  const lines = new Set<Line>()

  async function lineFor(as: Presented | undefined, signal: AbortSignal): Promise<Line> {
    for (const line of lines) {
      if (line.busy || line.socket.destroyed || line.cert !== as?.cert) continue
      line.busy = true
      return line
    }
    const socket = await openConnection(address, await anchors(signal), signal, as)
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    agent.createConnection = () => socket
    const line = { socket, agent, cert: as?.cert, busy: true }
    lines.add(line)
    socket.once('close', () => lines.delete(line))
    if (closing.signal.aborted) socket.destroy()
    return line
  }

  async function send(request: Request, signal: AbortSignal): Promise<Answer> {
    const line = await lineFor(request.as, signal)
    try {
      return await answerTo(request, address, line.agent, signal)
    } catch (error) {
      line.socket.destroy()
      throw error
    } finally {
      line.busy = false
    }
  }

  const end = (line: Line): void => {
    line.socket.destroy()
    line.agent.destroy()
  }

  return {
    exchange: (request, signal) =>
      withDeadline(timeoutMs, [signal, closing.signal], `${request.method} ${address.origin}${request.path}`, (both) =>
        send(request, both),
      ),
    open: (request, signal) => openStream(parts, request, signal),
    rest() {
      for (const line of lines) if (!line.busy) end(line)
    },
    close() {
      closing.abort(new PurserError('closed', 'this Purser client was closed'))
      lines.forEach(end)
    },
  }
}

export function headersOf({ body, bearer }: Request, address: Address): Record<string, string | number> {
  return {
    host: new URL(address.origin).host,
    accept: '*/*',
    'accept-encoding': 'identity',
    'user-agent': `purser-sdk/${version} node/${process.versions.node}`,
    ...(bearer !== undefined && { authorization: `Bearer ${bearer}` }),
    ...(body !== undefined && { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }),
  }
}

function answerTo(request: Request, address: Address, agent: Agent, signal: AbortSignal): Promise<Answer> {
  const { method, path, body } = request
  const headers = headersOf(request, address)
  return new Promise((resolve, reject) => {
    request.onSent?.()
    const outgoing = startRequest({ agent, method, path, headers, maxHeaderSize: 16_384, signal })
    outgoing.on('error', (error) => reject(signal.aborted ? signal.reason : answerError(error, address)))
    // An agent gives out a kept connection as one that keeps the process alive.
    outgoing.on('socket', (socket) => socket.unref())
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

export function answerError(error: Error, address: Address): PurserError {
  const code = 'code' in error ? String(error.code) : ''
  if (code === 'HPE_HEADER_OVERFLOW')
    return new PurserError('too_large', `${address.origin} sent a header of more than 16 KiB`)
  if (code.startsWith('HPE_')) return new PurserError('bad_reply', `${address.origin} does not speak HTTP (${code})`)
  return connectionError(error, address)
}

export async function readAnswer(
  response: IncomingMessage,
  { maxBytes }: Pick<Request, 'maxBytes'>,
  { origin }: Address,
): Promise<Answer> {
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
  const bytes = Buffer.concat(chunks, size)
  return { status, headers, bytes, text: bytes.toString('utf8') }
}
