/** The answer of a server to a peer that it no longer accepts: 401, and the end of the connection. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { PurserError } from '../errors.ts'

/** Reveals nothing about `accept` or other peers. */
const details: Readonly<Record<string, string>> = {
  expired: 'the certificate of this connection has expired: connect again with a new one',
  revoked: 'the certificate of this connection was revoked',
}

function bodyOf({ code }: PurserError): string {
  const detail = details[code] ?? 'the peer of this connection is not accepted'
  const title = 'The client certificate is not accepted'
  const shownCode = code in details ? code : 'bad_peer'
  return JSON.stringify({ type: `urn:purser:problem:${shownCode}`, title, status: 401, code: shownCode, detail })
}

const headers = (body: string): Record<string, string | number> => ({
  'content-type': 'application/problem+json',
  'content-length': Buffer.byteLength(body),
  'cache-control': 'no-store',
  connection: 'close',
})

export function answerRefusal(request: IncomingMessage, response: ServerResponse, why: PurserError): void {
  const body = bodyOf(why)
  response.writeHead(401, headers(body)).end(body)
  // Discards the rest of the request.
  request.resume()
}

/** An upgrade has no response object, so the answer goes to the socket. */
export function endUpgrade(socket: Socket, why: PurserError): void {
  const body = bodyOf(why)
  const lines = Object.entries(headers(body)).map(([name, value]) => `${name}: ${value}`)
  socket.on('error', () => socket.destroy())
  socket.end(['HTTP/1.1 401 Unauthorized', ...lines, '', body].join('\r\n'))
}
