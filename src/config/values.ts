/** Parsers of settings. They throw BadValue with what is expected, and repair nothing. */
import { isIP, isIPv4 } from 'node:net'
import { isAudience } from '../names/audience.ts'
import { hostsInWords, parseDatabaseUrl } from '../names/database-url.ts'
import { isDnsName } from '../names/dns-name.ts'
import { isTrustDomain } from '../names/spiffe-id.ts'
import { OutboundError } from '../outbound/errors.ts'
import { parseAllow } from '../outbound/target.ts'
import { BadValue } from './error.ts'
import { type Secret, secret } from './secret.ts'

export type Address = { host: string; port: number }

/** Quotes a value, shortened. */
const quoted = (text: string): string => JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text)

export function text(input: string): string {
  if (/[\0\r\n]/.test(input)) throw new BadValue('must be one line')
  return input
}

export const wholeNumber =
  (min: number, max: number) =>
  (input: string): number => {
    const value = /^(?:0|[1-9][0-9]{0,11})$/.test(input) ? Number(input) : NaN
    if (value >= min && value <= max) return value
    throw new BadValue(`must be a whole number from ${min} to ${max}, not ${quoted(input)}`)
  }

export const oneOf =
  <const T extends string>(...choices: T[]) =>
  (input: string): T => {
    const choice = choices.find((name) => name === input)
    if (choice !== undefined) return choice
    throw new BadValue(`must be ${choices.map((choice) => quoted(choice)).join(' or ')}, not ${quoted(input)}`)
  }

export const listOf =
  <T>(item: (input: string) => T) =>
  (input: string): T[] => {
    if (input === '') return []
    return input.split(',').map((part) => {
      if (part.trim() === '') throw new BadValue('has an empty item: write a,b,c')
      return item(part.trim())
    })
  }

export function trustDomain(input: string): string {
  if (input.startsWith('spiffe://')) throw new BadValue('is the name alone, without spiffe://')
  if (isTrustDomain(input)) return input
  throw new BadValue(`must be 1 to 255 of a-z 0-9 . - _, such as example.org, not ${quoted(input)}`)
}

export function hostOrIp(input: string): string {
  if (isIP(input) !== 0 || isDnsName(input)) return input
  throw new BadValue(`must be a lower-case host name or an IP address, not ${quoted(input)}`)
}

/** A DNS name as in a name constraint (RFC 5280 section 4.2.1.10): it includes every name below it. */
export function dnsSuffix(input: string): string {
  if (isDnsName(input)) return input
  throw new BadValue(
    `must be lower-case DNS names without a dot at either end, such as corp.example, not ${quoted(input)}`,
  )
}

export function address(input: string): Address {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]+)):([0-9]{1,5})$/.exec(input)
  const host = match?.[1] ?? match?.[2]
  const port = Number(match?.[3])
  if (
    host !== undefined &&
    port <= 65_535 &&
    (match?.[1] === undefined ? isIPv4(host) || isDnsName(host) : isIP(host) === 6)
  ) {
    return { host, port }
  }
  throw new BadValue(`must be host:port, such as 127.0.0.1:8443 or [::]:8443, not ${quoted(input)}`)
}

/** An IP address is its own network. A network of all addresses is refused: any client could then set the header. */
export function network(input: string): string {
  const [ip = '', bits, ...rest] = input.split('/')
  const max = { 0: -1, 4: 32, 6: 128 }[isIP(ip)] ?? -1
  const length = bits === undefined ? max : /^(?:0|[1-9][0-9]{0,2})$/.test(bits) ? Number(bits) : -1
  if (max < 0 || rest.length > 0 || length < 0 || length > max) {
    throw new BadValue(`must be an IP address or a network such as 10.0.0.0/8, not ${quoted(input)}`)
  }
  if (length === 0) throw new BadValue(`${quoted(input)} covers every address: name the proxies`)
  return `${ip}/${length}`
}

/** An origin, or a host at any port, as the outbound client reads it. */
export function fetchPlace(input: string): string {
  try {
    parseAllow(input)
    return input
  } catch (error) {
    if (!(error instanceof OutboundError)) throw error
    throw new BadValue(`must be an origin such as https://issuer.example.org or a host name, not ${quoted(input)}`)
  }
}

/** Compared byte for byte by relying parties (OpenID Connect Discovery 1.0 section 4.3), so only one spelling is accepted. */
export function issuerUrl(input: string): string {
  const url = URL.canParse(input) ? new URL(input) : undefined
  if (url?.protocol !== 'https:') throw new BadValue(`must be an https URL, not ${quoted(input)}`)
  if (url.username !== '' || url.password !== '') throw new BadValue('must not hold a user or password')
  if (/[?#]/.test(input)) throw new BadValue('must have neither query nor fragment')
  if (input.endsWith('/')) throw new BadValue('must not end in a slash')
  const canonical = url.pathname === '/' ? url.origin : url.href
  if (canonical !== input) throw new BadValue(`is written ${canonical}: lower case, no default port, no dot segments`)
  return input
}

/** A distribution point is written into every certificate, so only one spelling is accepted. */
export function crlUrl(input: string): string {
  const url = URL.canParse(input) ? new URL(input) : undefined
  const plain = url?.protocol === 'http:' || url?.protocol === 'https:'
  if (!plain || url.username !== '' || url.password !== '' || /[?#]/.test(input) || input.endsWith('/'))
    throw new BadValue(`must be an http or https URL without user, query and slash at its end, not ${quoted(input)}`)
  const canonical = url.pathname === '/' ? url.origin : url.href
  if (canonical !== input) throw new BadValue(`is written ${canonical}: lower case, no default port, no dot segments`)
  return input
}

export function httpsUrl(input: string): string {
  const url = URL.canParse(input) ? new URL(input) : undefined
  if (url?.protocol === 'https:' && url.username === '' && url.password === '') return input
  throw new BadValue('must be an https URL without a user or password')
}

export function postgresUrl(input: string): Secret {
  const hosts = parseDatabaseUrl(input)
  if (typeof hosts === 'string') throw new BadValue(hosts)
  const { protocol, pathname } = new URL(hosts.urls[0] ?? '')
  return secret(input, `${protocol}//${hostsInWords(hosts)}${pathname}`)
}

/** 32 bytes in standard base64 (RFC 4648 section 4), in the one spelling that encodes them. */
export function rootKey(input: string): Secret {
  const bytes = Buffer.from(input, 'base64')
  if (bytes.length === 32 && bytes.toString('base64') === input) return secret(input)
  throw new BadValue('must be 32 bytes in base64; `purser root-key generate` creates one')
}

/** Printable: it is compared with the `aud` of tokens and shown to clients. */
export function audience(input: string): string {
  if (isAudience(input)) return input
  throw new BadValue('must be 1 to 255 printable ASCII characters without a space')
}

export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIPv4(host) && host.startsWith('127.'))
}
