/** From the text of one setting to its value, or BadValue saying what was expected. Nothing is repaired. */
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

/** A stranger to the terminal can't be in here, but a long paste can. */
const quoted = (text: string): string => JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text)

export function text(given: string): string {
  if (/[\0\r\n]/.test(given)) throw new BadValue('must be one line')
  return given
}

export const wholeNumber =
  (min: number, max: number) =>
  (given: string): number => {
    const value = /^(?:0|[1-9][0-9]{0,11})$/.test(given) ? Number(given) : NaN
    if (value >= min && value <= max) return value
    throw new BadValue(`must be a whole number from ${min} to ${max}, not ${quoted(given)}`)
  }

export const oneOf =
  <const T extends string>(...choices: T[]) =>
  (given: string): T => {
    const found = choices.find((choice) => choice === given)
    if (found !== undefined) return found
    throw new BadValue(`must be ${choices.map((choice) => quoted(choice)).join(' or ')}, not ${quoted(given)}`)
  }

export const listOf =
  <T>(item: (given: string) => T) =>
  (given: string): T[] => {
    if (given === '') return []
    return given.split(',').map((part) => {
      if (part.trim() === '') throw new BadValue('has an empty item: write a,b,c')
      return item(part.trim())
    })
  }

export function trustDomain(given: string): string {
  if (given.startsWith('spiffe://')) throw new BadValue('is the name alone, without spiffe://')
  if (isTrustDomain(given)) return given
  throw new BadValue(`must be 1 to 255 of a-z 0-9 . - _, such as example.org, not ${quoted(given)}`)
}

export function hostOrIp(given: string): string {
  if (isIP(given) !== 0 || isDnsName(given)) return given
  throw new BadValue(`must be a lower-case host name or an IP address, not ${quoted(given)}`)
}

/** As a name constraint has it (RFC 5280 section 4.2.1.10): the name and every name below it. */
export function dnsSuffix(given: string): string {
  if (isDnsName(given)) return given
  throw new BadValue(
    `must be lower-case DNS names without a dot at either end, such as corp.example, not ${quoted(given)}`,
  )
}

export function address(given: string): Address {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]+)):([0-9]{1,5})$/.exec(given)
  const host = match?.[1] ?? match?.[2]
  const port = Number(match?.[3])
  if (
    host !== undefined &&
    port <= 65_535 &&
    (match?.[1] === undefined ? isIPv4(host) || isDnsName(host) : isIP(host) === 6)
  ) {
    return { host, port }
  }
  throw new BadValue(`must be host:port, such as 127.0.0.1:8443 or [::]:8443, not ${quoted(given)}`)
}

/** An IP address is its own network. A network of everybody is refused: it would believe any stranger's header. */
export function network(given: string): string {
  const [ip = '', bits, ...rest] = given.split('/')
  const max = { 0: -1, 4: 32, 6: 128 }[isIP(ip)] ?? -1
  const length = bits === undefined ? max : /^(?:0|[1-9][0-9]{0,2})$/.test(bits) ? Number(bits) : -1
  if (max < 0 || rest.length > 0 || length < 0 || length > max) {
    throw new BadValue(`must be an IP address or a network such as 10.0.0.0/8, not ${quoted(given)}`)
  }
  if (length === 0) throw new BadValue(`${quoted(given)} is everybody: name the proxies`)
  return `${ip}/${length}`
}

/** An origin, or a host at any port, as the outbound client reads it. */
export function fetchPlace(given: string): string {
  try {
    parseAllow(given)
    return given
  } catch (error) {
    if (!(error instanceof OutboundError)) throw error
    throw new BadValue(`must be an origin such as https://issuer.example.org or a host name, not ${quoted(given)}`)
  }
}

/** Compared byte for byte by relying parties (OpenID Connect Discovery 1.0 section 4.3), so only one spelling is taken. */
export function issuerUrl(given: string): string {
  const url = URL.canParse(given) ? new URL(given) : undefined
  if (url?.protocol !== 'https:') throw new BadValue(`must be an https URL, not ${quoted(given)}`)
  if (url.username !== '' || url.password !== '') throw new BadValue('must not hold a user or password')
  if (/[?#]/.test(given)) throw new BadValue('must have neither query nor fragment')
  if (given.endsWith('/')) throw new BadValue('must not end in a slash')
  const written = url.pathname === '/' ? url.origin : url.href
  if (written !== given) throw new BadValue(`is written ${written}: lower case, no default port, no dot segments`)
  return given
}

/** A distribution point is written into every certificate, so only one spelling is taken. */
export function crlUrl(given: string): string {
  const url = URL.canParse(given) ? new URL(given) : undefined
  const plain = url?.protocol === 'http:' || url?.protocol === 'https:'
  if (!plain || url.username !== '' || url.password !== '' || /[?#]/.test(given) || given.endsWith('/'))
    throw new BadValue(`must be an http or https URL without user, query and slash at its end, not ${quoted(given)}`)
  const written = url.pathname === '/' ? url.origin : url.href
  if (written !== given) throw new BadValue(`is written ${written}: lower case, no default port, no dot segments`)
  return given
}

export function httpsUrl(given: string): string {
  const url = URL.canParse(given) ? new URL(given) : undefined
  if (url?.protocol === 'https:' && url.username === '' && url.password === '') return given
  throw new BadValue('must be an https URL without a user or password')
}

export function postgresUrl(given: string): Secret {
  const hosts = parseDatabaseUrl(given)
  if (typeof hosts === 'string') throw new BadValue(hosts)
  const { protocol, pathname } = new URL(hosts.urls[0] ?? '')
  return secret(given, `${protocol}//${hostsInWords(hosts)}${pathname}`)
}

/** 32 bytes in standard base64 (RFC 4648 section 4), in the one spelling that encodes them. */
export function rootKey(given: string): Secret {
  const bytes = Buffer.from(given, 'base64')
  if (bytes.length === 32 && bytes.toString('base64') === given) return secret(given)
  throw new BadValue('must be 32 bytes in base64; `purser root-key generate` makes one')
}

/** Printable, since it is compared with a token's `aud` and shown to clients. */
export function audience(given: string): string {
  if (isAudience(given)) return given
  throw new BadValue('must be 1 to 255 printable ASCII characters without a space')
}

export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIPv4(host) && host.startsWith('127.'))
}
