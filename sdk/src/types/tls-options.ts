/** Options of `purser.tls`: the ones of Node.js that set sizes and times, without those that decide whom to trust. */
import type { ServerOptions as HttpOptions } from 'node:http'
import type { AgentOptions as HttpsAgentOptions } from 'node:https'
import type { TcpNetConnectOpts } from 'node:net'
import type { ConnectionOptions, TlsOptions } from 'node:tls'

/**
 * A SPIFFE ID (`spiffe://example.org/prod/web`); everything below one (`spiffe://example.org/prod/*`, whole segments,
 * at any depth); a list of these, where an empty list accepts no peer; or a function. A peer is accepted only if the
 * function returns `true`: an exception, another value or a promise refuses it.
 */
export type Accept = string | readonly string[] | ((spiffeId: string) => boolean)

export const agentNames = [
  'keepAlive',
  'keepAliveMsecs',
  'maxFreeSockets',
  'maxSockets',
  'maxTotalSockets',
  'scheduling',
  'timeout',
] as const satisfies readonly (keyof HttpsAgentOptions)[]

/** As for `https.Agent`, without what decides whom to trust. Connections are kept unless `keepAlive` is false. */
export type AgentOptions = { accept: Accept } & Pick<HttpsAgentOptions, (typeof agentNames)[number]>

export const destinationNames = [
  'host',
  'port',
  'path',
  'servername',
  'family',
  'hints',
  'lookup',
  'localAddress',
  'localPort',
  'autoSelectFamily',
  'autoSelectFamilyAttemptTimeout',
  'timeout',
  'noDelay',
  'keepAlive',
  'keepAliveInitialDelay',
  'ALPNProtocols',
] as const

/** Where to connect, and how to set up the socket, as for `tls.connect`; not whom to trust. */
export type Destination = Partial<Pick<ConnectionOptions & TcpNetConnectOpts, (typeof destinationNames)[number]>>

export const httpServerNames = [
  'connectionsCheckingInterval',
  'headersTimeout',
  'highWaterMark',
  'insecureHTTPParser',
  'IncomingMessage',
  'joinDuplicateHeaders',
  'keepAlive',
  'keepAliveInitialDelay',
  'keepAliveTimeout',
  'maxHeaderSize',
  'noDelay',
  'requestTimeout',
  'requireHostHeader',
  'ServerResponse',
  'uniqueHeaders',
] as const satisfies readonly (keyof HttpOptions)[]

export const socketServerNames = [
  'allowHalfOpen',
  'ALPNProtocols',
  'highWaterMark',
  'keepAlive',
  'keepAliveInitialDelay',
  'noDelay',
  'pauseOnConnect',
] as const satisfies readonly (keyof TlsOptions)[]

type ForServers = {
  /** Which peers are accepted. There is no default; an empty list accepts none. */
  accept: Accept
  /** Milliseconds within which a TLS handshake must complete. Default: 10,000. */
  handshakeTimeout?: number
}

/** As for `https.createServer`, without what decides whom to trust. */
export type ServerOptions = ForServers & Pick<HttpOptions, (typeof httpServerNames)[number]>
/** As for `tls.createServer`, without what decides whom to trust. */
export type SocketServerOptions = ForServers & Pick<TlsOptions, (typeof socketServerNames)[number]>
