/** An https.Agent whose connections are as new as the identity. */
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

/** Longer waits overflow a timer. */
const maxMs = 2 ** 31 - 1

export function createAgent({ now, ...parts }: TlsParts, watch: Watch, options: AgentOptions): Agent {
  const { source } = parts
  /** Out of the agent's hands, upgraded for example: no further request is made on them. */
  const handedOver = new WeakSet<Socket>()
  const dial = createDial({ now, ...parts }, watch, options.accept, (why, socket) =>
    (handedOver.has(socket) ? endsAnyTime : endsBetweenRequests)(why),
  )
  // Sessions would be offered for resumption, and a resumed peer isn't asked who it is.
  const agent = new Agent({ keepAlive: true, ...pick(options, agentNames), maxCachedSessions: 0 })
  let generation = 0
  const madeIn = new WeakMap<Socket, number>()

  const isOver = (socket: Socket): boolean => {
    const known = verifiedPeerOf(socket)
    return madeIn.get(socket) !== generation || (known !== undefined && known.endsAt <= now())
  }

  /** Only then is it out of the agent's hands: by itself a destroyed socket stays there until its handle is closed. */
  const drop = (socket: Socket): void => {
    socket.destroy()
    socket.emit('agentRemove')
  }
  function dropIdle(): void {
    const idle = Object.values(agent.freeSockets).flatMap((sockets) => [...(sockets ?? [])])
    for (const socket of idle) if (isOver(socket)) drop(socket)
  }

  function create(where: Destination): TLSSocket {
    const socket = dial({ ...where, ALPNProtocols: ['http/1.1'] })
    madeIn.set(socket, generation)
    socket.once('agentRemove', () => handedOver.add(socket))
    socket.once('secureConnect', () => {
      const ends = (verifiedPeerOf(socket)?.endsAt ?? 0) - now()
      const timer = setTimeout(dropIdle, Math.min(ends, maxMs)).unref()
      socket.once('close', () => clearTimeout(timer))
    })
    return socket
  }

  Object.assign(agent, {
    createConnection(where: Destination & { socketPath?: string }, created: Created): TLSSocket | undefined {
      try {
        return create(where)
      } catch (error) {
        // Thrown here, it would come out of https.request(), where nobody catches anything.
        process.nextTick(created, error)
        return undefined
      }
    },
  })
  // Ahead of the agent's own: what is destroyed is not used again, and a request that waits gets a new connection.
  agent.prependListener('free', (socket: Socket) => {
    if (isOver(socket)) socket.destroy()
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
