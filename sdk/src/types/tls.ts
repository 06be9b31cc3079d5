/** `purser.tls`. */
import type { X509Certificate } from 'node:crypto'
import type { RequestListener } from 'node:http'
import type { Agent, Server as HttpsServer } from 'node:https'
import type { ConnectionOptions, Server, TLSSocket } from 'node:tls'
import type { Accept, AgentOptions, Destination, ServerOptions, SocketServerOptions } from './tls-options.ts'

export type Peer = {
  readonly spiffeId: string
  /** Without the scheme: `example.org`. */
  readonly trustDomain: string
  /** The leaf certificate that the peer presented. */
  readonly certificate: X509Certificate
}

/**
 * TLS 1.3 with a certificate on both sides. A peer is verified against the roots of our trust domain only, and accepted
 * by its SPIFFE ID, never by a host name. New connections use the newest certificate and roots; open connections stay.
 * Sessions are not resumed. A revoked peer loses its connections as soon as Purser's CRL names it.
 *
 * Each function throws PurserError `bad_options` for an `accept` that is missing or malformed, `not_requested` where
 * `connect()` requested no certificate, `expired` where it has expired and could not be renewed, `closed`.
 */
export type Tls = {
  /**
   * An HTTPS server; call `listen` on it. The peer of a kept connection is checked again at each request: once its
   * certificate has expired or is revoked, its root has left the bundle, or `accept` refuses it, the server answers 401
   * and closes the connection. An upgraded connection or a tunnel is closed as with `socketServer`. `peerOf(request)`
   * returns the caller. `purser.close()` closes the server.
   */
  server(options: ServerOptions, onRequest?: RequestListener): HttpsServer
  /**
   * The same for protocols other than HTTP. `peerOf(socket)` returns the peer. A connection may outlive its peer's
   * certificate; it is closed once the peer is revoked, its root has left the bundle, or `accept`, called again at each
   * such change, refuses it.
   */
  socketServer(options: SocketServerOptions, onSocket?: (socket: TLSSocket) => void): Server
  /**
   * Options for `tls.connect` or `https.request`, as of now: call it again for each connection. Such connections are not
   * watched; `connect` and `agent` close connections whose peer is revoked.
   */
  client(options: { accept: Accept }): ConnectionOptions
  /**
   * A connection, like `tls.connect`. It emits `secureConnect` once the peer is verified and accepted, else `error`; also
   * later, when the peer is no longer accepted, as with `socketServer`.
   */
  connect(options: Destination & { accept: Accept }): TLSSocket
  /**
   * An agent for `https.request` that keeps connections. It reuses no connection that was opened with an earlier
   * certificate or whose peer's certificate has expired; requests in flight finish. Create one and keep it.
   */
  agent(options: AgentOptions): Agent
}
