/** The options of servers, checked. */
import type { ServerOptions as HttpOptions } from 'node:http'
import type { TlsOptions } from 'node:tls'
import { PurserError } from '../errors.ts'
import {
  type ServerOptions,
  type SocketServerOptions,
  httpServerNames,
  socketServerNames,
} from '../types/tls-options.ts'

const handshakeTimeout = 10_000

/** @throws PurserError `bad_options` */
export const httpOptionsOf = (options: ServerOptions): HttpOptions & TlsOptions => ({
  handshakeTimeout,
  ...pick(options, [...httpServerNames, 'handshakeTimeout']),
})
/** @throws PurserError `bad_options` */
export const socketOptionsOf = (options: SocketServerOptions): TlsOptions => ({
  handshakeTimeout,
  ...pick(options, [...socketServerNames, 'handshakeTimeout']),
})

/**
 * Picks the options with these names.
 * @throws PurserError `bad_options` for another name than these and `accept`: it would have no effect, or a dangerous one
 */
export function pick(options: object, names: readonly string[]): object {
  const allowed = new Set([...names, 'accept'])
  const unknown = Object.keys(options).filter((name) => !allowed.has(name))
  if (unknown.length > 0) throw new PurserError('bad_options', `purser.tls has no option: ${unknown.join(', ')}`)
  return Object.fromEntries(Object.entries(options).filter(([name, value]) => name !== 'accept' && value !== undefined))
}
