/** The options of servers: sizes and times. What decides whom to trust is not among them. */
import type { ServerOptions as HttpOptions } from 'node:http'
import type { TlsOptions } from 'node:tls'
import { PurserError } from '../errors.ts'
import type { Accept } from './accept.ts'

const httpNames = [
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

const socketNames = [
  'allowHalfOpen',
  'ALPNProtocols',
  'highWaterMark',
  'keepAlive',
  'keepAliveInitialDelay',
  'noDelay',
  'pauseOnConnect',
] as const satisfies readonly (keyof TlsOptions)[]

type Common = {
  /** Which peers are let in. There is no default: an empty list lets nobody in. */
  accept: Accept
  /** Milliseconds within which a TLS handshake must be complete; 10,000 unless given. */
  handshakeTimeout?: number
}

/** As for `https.createServer`, without what decides whom to trust. */
export type ServerOptions = Common & Pick<HttpOptions, (typeof httpNames)[number]>
/** As for `tls.createServer`, without what decides whom to trust. */
export type SocketServerOptions = Common & Pick<TlsOptions, (typeof socketNames)[number]>

const handshakeTimeout = 10_000

/** @throws PurserError `bad_options` */
export const httpOptionsOf = (options: ServerOptions): HttpOptions & TlsOptions => ({
  handshakeTimeout,
  ...pick(options, [...httpNames, 'handshakeTimeout']),
})
/** @throws PurserError `bad_options` */
export const socketOptionsOf = (options: SocketServerOptions): TlsOptions => ({
  handshakeTimeout,
  ...pick(options, [...socketNames, 'handshakeTimeout']),
})

/**
 * The options with these names, without `accept`.
 * @throws PurserError `bad_options` for any other: it would have no effect, or a dangerous one
 */
export function pick(options: object, names: readonly string[]): object {
  const known = new Set([...names, 'accept'])
  const unknown = Object.keys(options).filter((name) => !known.has(name))
  if (unknown.length > 0) throw new PurserError('bad_options', `no option of purser.tls: ${unknown.join(', ')}`)
  return Object.fromEntries(Object.entries(options).filter(([name, value]) => name !== 'accept' && value !== undefined))
}
