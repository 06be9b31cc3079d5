/** Decides which URLs may be fetched, and which addresses they may reach. */
import { isIP } from 'node:net'
import { type Zone, zoneOf } from './address.ts'
import { OutboundError } from './errors.ts'

/**
 * `public`: public addresses. `inside`: private networks and loopback too. `any`: also link-local and other special
 * addresses, since PURSER_FETCH_ALLOW lists exactly this host.
 */
export type Reach = 'public' | 'inside' | 'any'

export type Target = { url: URL; reach: Reach }

export type AllowRule = { kind: 'origin' | 'host'; value: string }

const maxUrlLength = 2048
// Scheme, host, port, rest: printable ASCII, no userinfo, no backslash, no fragment.
const shape =
  /^(https?):\/\/(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*)(?::([0-9]{1,5}))?([/?][!"$-[\]-~]*)?$/

const places: Record<Reach, readonly Zone[]> = {
  public: ['public'],
  inside: ['public', 'private'],
  any: ['public', 'private', 'special'],
}

/** Whether the reach covers every address. All must be covered, since a later connection may use any of them. */
export function covers(reach: Reach, addresses: readonly string[]): boolean {
  return addresses.length > 0 && addresses.every((address) => places[reach].includes(zoneOf(address)))
}

/**
 * Parses an entry of PURSER_FETCH_ALLOW: an origin (`https://host`, `https://host:8443`, `http://127.0.0.1:8080`), or a
 * bare host, which allows https on any port. Hosts are compared as a whole, without wildcards or suffixes.
 * @throws OutboundError `bad_url`, or `not_https` for plain http to any address but loopback
 */
export function parseAllow(entry: string): AllowRule {
  const origin = entry.includes('://')
  const { url, host, rest } = read(origin ? entry : `https://${entry}`)
  if (rest !== undefined || (!origin && entry.toLowerCase() !== host))
    throw new OutboundError('bad_url', 'an entry of PURSER_FETCH_ALLOW is an origin or a host, and nothing after it')
  if (url.protocol === 'http:' && !isLoopback(host))
    throw new OutboundError('not_https', 'http is for loopback addresses only')
  return origin ? { kind: 'origin', value: url.origin } : { kind: 'host', value: host }
}

/** Whether PURSER_FETCH_ALLOW lists the host of a URL. False for an invalid URL. */
export function isListed(rules: readonly AllowRule[], text: string): boolean {
  try {
    return lists(rules, read(text).url)
  } catch {
    return false
  }
}

/**
 * Parses a URL and determines its reach. Plain http needs a literal loopback address whose exact origin is listed.
 * @throws OutboundError `bad_url`, `not_https`, or `not_allowed` for a literal address out of reach
 */
export function readTarget(text: string, configured: boolean, rules: readonly AllowRule[]): Target {
  const { url, host } = read(text)
  const isListed = lists(rules, url)
  if (url.protocol !== 'https:' && !(isListed && isLoopback(host)))
    throw new OutboundError('not_https', 'only https is fetched; http is for a loopback address in PURSER_FETCH_ALLOW')
  const bare = host.startsWith('[') ? host.slice(1, -1) : host
  const reach = isListed ? 'any' : configured ? 'inside' : 'public'
  // A literal address needs no look-up, so it is checked here.
  if (isIP(bare) !== 0 && !covers(reach, [bare])) throw outOfReach(bare)
  return { url, reach }
}

export function outOfReach(host: string): OutboundError {
  return new OutboundError('not_allowed', `${host} is or resolves to an address that may not be fetched from here`)
}

function lists(rules: readonly AllowRule[], url: URL): boolean {
  return rules.some(({ kind, value }) =>
    kind === 'origin' ? value === url.origin : value === url.hostname && url.protocol === 'https:',
  )
}

function read(text: string): { url: URL; host: string; rest: string | undefined } {
  if (text.length > maxUrlLength) throw new OutboundError('bad_url', 'a URL is at most 2048 characters long')
  const [, , host, , rest] = shape.exec(text) ?? []
  const lowerCaseHost = host?.toLowerCase()
  if (lowerCaseHost === undefined) {
    if (/^[a-z][a-z0-9+.-]*:/i.test(text) && !/^https?:/i.test(text))
      throw new OutboundError('not_https', 'only https is fetched')
    throw new OutboundError('bad_url', 'a URL is https://host[:port]/path, without userinfo and fragment')
  }
  if (!URL.canParse(text)) throw new OutboundError('bad_url', 'the host or port of the URL is impossible')
  const url = new URL(text)
  // Refuses other forms of an IPv4 address: 0x7f.1, 2130706433 and 0177.0.0.1 all become 127.0.0.1 here.
  if (url.hostname !== lowerCaseHost && !lowerCaseHost.startsWith('['))
    throw new OutboundError('bad_url', 'the host of the URL is not written in its plain form')
  return { url, host: url.hostname, rest }
}

function isLoopback(host: string): boolean {
  return host === '[::1]' || (isIP(host) === 4 && host.startsWith('127.'))
}
