/** Requests and listeners for the tests of mutual TLS. */
import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { type RequestOptions, request } from 'node:https'
import type { AddressInfo, Server } from 'node:net'
import { TLSSocket } from 'node:tls'
import { onTestFinished } from 'vitest'
import type { X509 } from '../../sdk/src/types/purser.ts'

export async function listen(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  return (server.address() as AddressInfo).port
}

export type Got = {
  status: number
  text: string
  headers: IncomingMessage['headers']
  socket: IncomingMessage['socket']
  /** Whether the connection resumed an earlier one. */
  resumed: boolean
}

/** Rejects with the error of the connection. */
export function get(options: RequestOptions): Promise<Got> {
  return new Promise((resolve, reject) => {
    const outgoing = request({ host: '127.0.0.1', path: '/', ...options }, (response) => {
      const { socket, headers, statusCode: status = 0 } = response
      const resumed = socket instanceof TLSSocket && socket.isSessionReused()
      let text = ''
      response.on('data', (chunk: Buffer) => (text += chunk.toString()))
      response.on('end', () => resolve({ status, text, headers, socket, resumed }))
      response.on('error', reject)
    })
    outgoing.on('error', reject)
    outgoing.end()
  })
}

/** A client that has a certificate and verifies none: every refusal comes from the server. */
export const careless = ({ certificateChain, privateKey }: X509): RequestOptions => ({
  cert: certificateChain,
  key: privateKey,
  rejectUnauthorized: false,
  agent: false,
})
