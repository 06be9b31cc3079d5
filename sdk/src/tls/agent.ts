/** An https.Agent that reuses only connections of the current identity. */
import { Agent } from 'node:https'
import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { createDial } from './client.ts'
import type { TlsParts } from './judge.ts'
import { verifiedPeerOf } from './peer.ts'
import { pick } from './server-options.ts'
import { type Watch, endsAnyTime, endsBetweenRequests } from './watch.ts'
import { type AgentOptions, type Destination, agentNames } from '../types/tls-options.ts'

type Created = (error: unknown, socket?: TLSSocket) => void

/** A longer delay would overflow a timer. */
const maxMs = 2 ** 31 - 1

export function createAgent({ now, ...parts }: TlsParts, watch: Watch, options: AgentOptions): Agent {
  const { source } = parts
  /** Sockets that left the agent, such as upgraded ones: no further request uses them. */
  const handedOver = new WeakSet<Socket>()
  const dial = createDial({ now, ...parts }, watch, options.accept, (reason, socket) =>
    (handedOver.has(socket) ? endsAnyTime : endsBetweenRequests)(reason),
  )
  // No session cache: the identity of a peer is not verified when a session is resumed.
  const agent = new Agent({ keepAlive: true, ...pick(options, agentNames), maxCachedSessions: 0 })
  let generation = 0
  const generationOf = new WeakMap<Socket, number>()

  const isStale = (socket: Socket): boolean => {
    const peer = verifiedPeerOf(socket)
    return generationOf.get(socket) !== generation || (peer !== undefined && peer.endsAt <= now())
  }

  /** Removes the socket from the agent at once: a destroyed socket would stay there until its handle is closed. */
  const drop = (socket: Socket): void => {
    socket.destroy()
    socket.emit('agentRemove')
  }
  function dropIdle(): void {
    const idle = Object.values(agent.freeSockets).flatMap((sockets) => [...(sockets ?? [])])
    for (const socket of idle) if (isStale(socket)) drop(socket)
  }

  function create(where: Destination): TLSSocket {
    const socket = dial({ ...where, ALPNProtocols: ['http/1.1'] })
    generationOf.set(socket, generation)
    socket.once('agentRemove', () => handedOver.add(socket))
    socket.once('secureConnect', () => {
      const ends = (verifiedPeerOf(socket)?.endsAt ?? 0) - now()
      const timer = setTimeout(dropIdle, Math.min(ends, maxMs)).unref()
      socket.once('close', () => clearTimeout(timer))
    })
    return socket
  }

  Object.assign(agent, {
    createConnection(where: Destination & { socketPath?: string }, done: Created): TLSSocket | undefined {
      try {
        return create(where)
      } catch (error) {
        // An exception would surface in https.request(), where programs do not expect one.
        process.nextTick(done, error)
        return undefined
      }
    },
  })
  // Runs before the agent's own listener, so that a waiting request gets a new connection instead.
  agent.prependListener('free', (socket: Socket) => {
    if (isStale(socket)) socket.destroy()
  })

  const stop = source.onIdentity(() => {
    generation += 1
    dropIdle()
  })
  const destroy = agent.destroy.bind(agent)
  Object.assign(agent, {
    destroy() {
      stop()
      destroy()
    },
  })
  return agent
}
