/** Requests to one verified server: bounded in time and size, no redirects, no proxy, no cookies. */
import { Agent, request as startRequest } from 'node:http'
import type { Socket } from 'node:net'
import type { Address } from './address.ts'
import { createClosing } from '../time/closing.ts'
import { withDeadline } from '../time/deadline.ts'
import { PurserError } from '../errors.ts'
import { type Anchors, openConnection } from './handshake.ts'
import { type OpenRequest, type Streamed, openStream } from './open-stream.ts'
import { type Presented, type Request, type Answer, headersOf, answerError, readAnswer } from './http.ts'

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
