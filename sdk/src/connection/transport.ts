/** Requests to one verified server, bounded in time and size, without redirects, proxy or cookies. */
import { Agent, request as startRequest } from 'node:http'
import type { Socket } from 'node:net'
import type { Address } from './address.ts'
import { createClosing } from '../time/closing.ts'
import { withDeadline } from '../time/deadline.ts'
import { PurserError } from '../errors.ts'
import { type Anchors, openConnection } from './handshake.ts'
import { type OpenRequest, type Streamed, openStream } from './open-stream.ts'
import { type Presented, type Request, type Answer, headersOf, answerError, readAnswer } from './http.ts'

type Both = ReturnType<typeof createTransport>
export type Transport = Omit<Both, 'open'>
export type Streams = Pick<Both, 'open'>

/** One verified connection, and an agent that uses it and never connects by itself. */
type Connection = { socket: Socket; agent: Agent; cert: string | undefined; busy: boolean }

/** @param parts.anchors called at each new connection, since the roots of a trust domain change */
export function createTransport(parts: {
  address: Address
  anchors: (signal: AbortSignal) => Promise<Anchors>
  timeoutMs: number
}) {
  const { address, anchors, timeoutMs } = parts
  const closing = createClosing()
  const connections = new Set<Connection>()

  async function connectionFor(as: Presented | undefined, signal: AbortSignal): Promise<Connection> {
    for (const connection of connections) {
      if (connection.busy || connection.socket.destroyed || connection.cert !== as?.cert) continue
      connection.busy = true
      return connection
    }
    const socket = await openConnection(address, await anchors(signal), signal, as)
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    agent.createConnection = () => socket
    const connection = { socket, agent, cert: as?.cert, busy: true }
    connections.add(connection)
    socket.once('close', () => connections.delete(connection))
    if (closing.signal.aborted) socket.destroy()
    return connection
  }

  async function send(request: Request, signal: AbortSignal): Promise<Answer> {
    const connection = await connectionFor(request.as, signal)
    try {
      return await answerTo(request, address, connection.agent, signal)
    } catch (error) {
      connection.socket.destroy()
      throw error
    } finally {
      connection.busy = false
    }
  }

  const end = (connection: Connection): void => {
    connection.socket.destroy()
    connection.agent.destroy()
  }

  return {
    /** @throws PurserError only */
    exchange: (request: Request, signal?: AbortSignal): Promise<Answer> =>
      withDeadline(timeoutMs, [signal, closing.signal], `${request.method} ${address.origin}${request.path}`, (both) =>
        send(request, both),
      ),
    /**
     * A streamed answer on its own connection. It lasts until either side or `signal` ends it.
     * @throws PurserError
     */
    open: (request: OpenRequest, signal: AbortSignal): Promise<Answer | Streamed> => openStream(parts, request, signal),
    /** Closes idle connections. */
    rest: (): void => {
      for (const connection of connections) if (!connection.busy) end(connection)
    },
    /** Ends pending exchanges too. Later exchanges fail with `closed`. */
    close: (): void => {
      closing.abort(new PurserError('closed', 'this Purser client was closed'))
      connections.forEach(end)
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
    // An agent refs an idle connection again when it reuses it.
    outgoing.on('socket', (socket) => socket.unref())
    outgoing.on('upgrade', (_, socket) => {
      socket.destroy()
      reject(new PurserError('bad_reply', `${address.origin} answered 101, which was not requested`))
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
