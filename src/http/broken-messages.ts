/** Messages of which Node's parser makes no request: each gets the problem, the record and the limit that a request gets. */
import { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { type RefusalCode, refuse } from '../errors.ts'
import { createTurnAway } from './unrouted.ts'
import type { DoorParts } from './route.ts'

/** @param pending the response that the connection owes next, to a request that did arrive */
export type AnswerBroken = (
  error: NodeJS.ErrnoException,
  socket: Socket,
  pending: () => ServerResponse | undefined,
) => void

const codes: Readonly<Record<string, RefusalCode>> = {
  HPE_HEADER_OVERFLOW: 'headers_too_large',
  ERR_HTTP_REQUEST_TIMEOUT: 'request_timeout',
}

/** Nothing for what is not HTTP's: a connection that was reset, or a failed TLS handshake. */
function codeOf({ code = '' }: NodeJS.ErrnoException): RefusalCode | undefined {
  return codes[code] ?? (code.startsWith('HPE_') ? 'bad_http' : undefined)
}

export function createAnswerBroken(parts: DoorParts): AnswerBroken {
  const turnAway = createTurnAway(parts)
  const broken = new WeakSet<Socket>()

  function answer(socket: Socket, code: RefusalCode): void {
    const message = new IncomingMessage(socket)
    const response = new ServerResponse(message)
    response.shouldKeepAlive = false
    response.assignSocket(socket)
    response.once('finish', () => socket.destroySoon())
    turnAway(message, response, code).catch(() => socket.destroy())
  }

  return (error, socket, pending) => {
    // The parser fails again on each further byte.
    if (broken.has(socket)) return
    broken.add(socket)
    socket.on('error', () => undefined)
    const code = codeOf(error)
    if (code === undefined || !socket.writable) return void socket.destroy()

    function settle(code: RefusalCode): void {
      const before = pending()
      if (!before) return socket.writable ? answer(socket, code) : void socket.destroy()
      if (before.req.complete) return void before.once('close', () => settle(code))
      // The rest of its body never comes. Its own route refuses it, once, if it waits for that.
      before.shouldKeepAlive = false
      before.once('close', () => socket.destroySoon())
      if (before.req.listenerCount('error') > 0)
        before.req.emit('error', code === 'request_timeout' ? refuse(code) : error)
    }
    settle(code)
  }
}
