/** Mutual TLS between workloads of one trust domain: `purser.tls`. */
import type { RequestListener } from 'node:http'
import type { Agent, Server as HttpsServer } from 'node:https'
import type { ConnectionOptions, Server, TLSSocket } from 'node:tls'
import type { Accept } from './accept.ts'
import { type AgentOptions, createAgent } from './agent.ts'
import { type Destination, clientOptions, createDial } from './client.ts'
import type { TlsParts } from './judge.ts'
import type { ServerOptions, SocketServerOptions } from './server-options.ts'
import { createHttpsServer, createSocketServer } from './server.ts'
import { createWatch } from './watch.ts'

/**
 * TLS 1.3 with a certificate on both sides. A peer is verified against the roots of our trust domain and nothing else,
 * and let in by its SPIFFE ID, never by a host name. New connections use the newest certificate and roots; open ones are
 * not dropped for that. Nothing is resumed. A peer that is revoked loses its connections once Purser's CRL says so.
 *
 * Each throws PurserError `bad_options` for an `accept` that is missing or malformed, `not_requested` where no
 * certificate was asked for, `expired` where it ended and could not be renewed, `closed`.
 */
export type Tls = {
  /**
   * A server for requests; `listen` it. On a connection that is kept, the peer is judged again at each request: once its
   * certificate ended or was revoked, its root left the bundle, or `accept` changed its mind, the answer is 401 and the
   * connection ends. One that is upgraded, or a tunnel, ends by itself then, as those of `socketServer` do. `peerOf(request)`
   * says who asks. It ends with `purser.close()`.
   */
  server(options: ServerOptions, onRequest?: RequestListener): HttpsServer
  /**
   * The same for protocols other than HTTP. `peerOf(socket)` says who it is. A connection outlives its peer's certificate; it
   * ends once the peer is revoked, its root left the bundle, or `accept`, asked at each such news, says no.
   */
  socketServer(options: SocketServerOptions, onSocket?: (socket: TLSSocket) => void): Server
  /**
   * Options for `tls.connect` or `https.request`, as of now: call it again for each connection. What is connected by them
   * isn't followed: `connect` and `agent` end connections whose peer is revoked.
   */
  client(options: { accept: Accept }): ConnectionOptions
  /**
   * A connection, like `tls.connect`; `secureConnect` comes once the peer is verified and accepted, `error` otherwise, and
   * also later, once the peer is let in no more, as with `socketServer`.
   */
  connect(options: Destination & { accept: Accept }): TLSSocket
  /**
   * An agent for `https.request` that keeps connections. None that was made with an earlier certificate, or whose peer's
   * ended, is used for another request; what is under way is finished. Make one and keep it.
   */
  agent(options: AgentOptions): Agent
}

export function createTls(parts: TlsParts): Tls {
  const watch = createWatch(parts.source)
  return {
    server: (options, onRequest) => createHttpsServer(parts, watch, options, onRequest),
    socketServer: (options, onSocket) => createSocketServer(parts, watch, options, onSocket),
    client: ({ accept }) => clientOptions(parts, accept),
    connect: ({ accept, ...where }) => createDial(parts, watch, accept)(where),
    agent: (options) => createAgent(parts, watch, options),
  }
}
