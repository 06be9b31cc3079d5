/** The prefix that identifies an anonymous caller: an IPv4 address, or an IPv6 /64, the network of one subscriber (RFC 6177). */
import { isIP } from 'node:net'

/** @returns `192.0.2.7` or `2001:db8:1:2::/64`; `unknown` for other texts, such as the peer of a unix socket */
export function addressPrefix(address: string | undefined): string {
  if (address === undefined) return 'unknown'
  const bare = address.split('%', 1)[0] ?? ''
  const kind = isIP(bare)
  if (kind === 4) return bare
  if (kind !== 6) return 'unknown'
  // An IPv4 client of a dual-stack socket (RFC 4291 section 2.5.5.2) is the same caller as over IPv4.
  const mapped = /^::ffff:([0-9.]+)$/i.exec(bare)
  if (mapped?.[1] !== undefined) return mapped[1]
  return `${firstGroups(bare).join(':')}::/64`
}

/** The first four 16-bit groups, without leading zeros. */
function firstGroups(address: string): string[] {
  const [head = '', tail] = address.toLowerCase().split('::')
  const groups = head === '' ? [] : head.split(':')
  const last = tail === undefined || tail === '' ? [] : tail.split(':')
  // A dotted end (::ffff:1.2.3.4) takes two groups.
  const width = (list: string[]): number => list.length + (list.at(-1)?.includes('.') ? 1 : 0)
  const zeros = tail === undefined ? 0 : 8 - width(groups) - width(last)
  const all = [...groups, ...Array.from({ length: zeros }, () => '0'), ...last]
  return all.slice(0, 4).map((group) => Number.parseInt(group, 16).toString(16))
}
