/** Answers messages that Node's parser refuses (`clientError`) with a problem, an entry and the limits of other requests. */
import { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { type RefusalCode, refuse } from '../errors.ts'
import type { EndpointParts } from './route.ts'
import { createReject } from './unmatched.ts'

/** @param pending the unfinished response to an earlier request of the connection */
export type HandleClientError = (
  error: NodeJS.ErrnoException,
  socket: Socket,
  pending: () => ServerResponse | undefined,
) => void

const codes: Readonly<Record<string, RefusalCode>> = {
  HPE_HEADER_OVERFLOW: 'headers_too_large',
  ERR_HTTP_REQUEST_TIMEOUT: 'request_timeout',
}

/** Undefined for errors that are not about HTTP: a connection reset, a failed TLS handshake. */
function codeOf({ code = '' }: NodeJS.ErrnoException): RefusalCode | undefined {
  return codes[code] ?? (code.startsWith('HPE_') ? 'bad_http' : undefined)
}

export function createHandleClientError(parts: EndpointParts): HandleClientError {
  const reject = createReject(parts)
  const answeredSockets = new WeakSet<Socket>()

  function answer(socket: Socket, code: RefusalCode): void {
    const message = new IncomingMessage(socket)
    const response = new ServerResponse(message)
    response.shouldKeepAlive = false
    response.assignSocket(socket)
    response.once('finish', () => socket.destroySoon())
    reject(message, response, code).catch(() => socket.destroy())
  }

  return (error, socket, pending) => {
    // The parser fails again with each further byte.
    if (answeredSockets.has(socket)) return
    answeredSockets.add(socket)
    socket.on('error', () => undefined)
    const code = codeOf(error)
    if (code === undefined || !socket.writable) return void socket.destroy()

    function settle(code: RefusalCode): void {
      const earlier = pending()
      if (!earlier) return socket.writable ? answer(socket, code) : void socket.destroy()
      if (earlier.req.complete) return void earlier.once('close', () => settle(code))
      // The error is in the body of the earlier request. If its route waits for the body, the route refuses it.
      earlier.shouldKeepAlive = false
      earlier.once('close', () => socket.destroySoon())
      if (earlier.req.listenerCount('error') > 0)
        earlier.req.emit('error', code === 'request_timeout' ? refuse(code) : error)
    }
    settle(code)
  }
}
