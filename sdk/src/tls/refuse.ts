/** How a server answers a peer that it let in and does not let in any more: 401, and the connection ends. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { PurserError } from '../errors.ts'

/** Nothing of what `accept` says, nor of others: the peer learns what it knows about itself. */
const details: Readonly<Record<string, string>> = {
  expired: 'the certificate of this connection ended: connect anew with the one that replaced it',
  revoked: 'the certificate of this connection was revoked',
}

function bodyOf({ code }: PurserError): string {
  const detail = details[code] ?? 'the peer of this connection is not accepted'
  const title = 'The client certificate is not accepted'
  const known = code in details ? code : 'bad_peer'
  return JSON.stringify({ type: `urn:purser:problem:${known}`, title, status: 401, code: known, detail })
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
  // What it still sends is not waited for.
  request.resume()
}

/** There is no response to write on: the socket is what remains. */
export function endUpgrade(socket: Socket, why: PurserError): void {
  const body = bodyOf(why)
  const lines = Object.entries(headers(body)).map(([name, value]) => `${name}: ${value}`)
  socket.on('error', () => socket.destroy())
  socket.end(['HTTP/1.1 401 Unauthorized', ...lines, '', body].join('\r\n'))
}
