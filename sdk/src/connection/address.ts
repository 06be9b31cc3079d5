import { isIP } from 'node:net'
import { PurserError } from '../errors.ts'

export type Address = {
  /** Without a trailing slash. */
  origin: string
  tls: boolean
  /** A name, or an address without brackets. */
  host: string
  port: number
}

const bad = (why: string): PurserError =>
  new PurserError('bad_options', `the server's address (addr, PURSER_ADDR) ${why}; write it as https://host:port`)

/** Addresses only: a resolver decides where the name `localhost` leads. */
export const isLoopback = (host: string): boolean => (isIP(host) === 4 && host.startsWith('127.')) || host === '::1'

/**
 * @param plainLoopback allows `http://` to this machine
 * @throws PurserError `bad_options`
 */
export function readAddress(text: string, plainLoopback: boolean): Address {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (!url || (url.protocol !== 'https:' && url.protocol !== 'http:')) throw bad('is not an https URL')
  if (url.username !== '' || url.password !== '') throw bad('must not contain a user name or password')
  if (url.pathname !== '/' || url.search !== '' || url.hash !== '') throw bad('must not contain a path or query')
  const tls = url.protocol === 'https:'
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1')
  if (!tls && !(plainLoopback && isLoopback(host))) {
    throw bad('is plain http, which is allowed only to 127.0.0.1 or ::1 with allowPlainLoopback')
  }
  return { origin: url.origin, tls, host, port: url.port === '' ? (tls ? 443 : 80) : Number(url.port) }
}
