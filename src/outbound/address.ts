/**
 * Classifies IP addresses by the IANA special-purpose registries (RFC 6890). An IPv6 address outside of the known public
 * range counts as special.
 */
import { BlockList, isIP } from 'node:net'

/** `private`: loopback and private networks. `special`: link-local, cloud metadata, multicast, reserved, unspecified, no address at all. */
export type Zone = 'public' | 'private' | 'special'

function ranges(family: 'ipv4' | 'ipv6', cidrs: readonly string[]): BlockList {
  const list = new BlockList()
  for (const cidr of cidrs) {
    const [network = '', bits] = cidr.split('/')
    list.addSubnet(network, Number(bits), family)
  }
  return list
}

// Alibaba and AWS have their metadata services in ranges that are otherwise private.
const metadata4 = ranges('ipv4', ['100.100.100.200/32'])
const metadata6 = ranges('ipv6', ['fd00:ec2::/32'])
const private4 = ranges('ipv4', ['10.0.0.0/8', '100.64.0.0/10', '127.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16'])
const private6 = ranges('ipv6', ['::1/128', 'fc00::/7'])
const special4 = ranges('ipv4', [
  '0.0.0.0/8',
  '169.254.0.0/16',
  '192.0.0.0/24',
  '192.0.2.0/24',
  '192.88.99.0/24',
  '198.18.0.0/15',
  '198.51.100.0/24',
  '203.0.113.0/24',
  '224.0.0.0/4',
  '240.0.0.0/4',
])
const global6 = ranges('ipv6', ['2000::/3'])
// Teredo and other IETF assignments, documentation, and 6to4, which embeds an arbitrary IPv4 address.
const special6 = ranges('ipv6', ['2001::/23', '2001:db8::/32', '2002::/16', '3fff::/20'])
// Embedded IPv4 addresses: mapped (RFC 4291 section 2.5.5.2), and NAT64 (RFC 6052), which IPv6-only networks use for IPv4.
const embedsIpv4 = ranges('ipv6', ['::ffff:0:0/96', '64:ff9b::/96'])

/** Classifies an address from `dns.lookup` or from the host of a URL, an IPv6 address without brackets. */
export function zoneOf(address: string): Zone {
  const [bare = ''] = address.split('%')
  const family = isIP(bare)
  if (family === 4) return zoneOfIpv4(bare)
  if (family !== 6) return 'special'
  if (embedsIpv4.check(bare, 'ipv6')) return zoneOfIpv4(last32Bits(bare))
  if (metadata6.check(bare, 'ipv6')) return 'special'
  if (private6.check(bare, 'ipv6')) return 'private'
  return global6.check(bare, 'ipv6') && !special6.check(bare, 'ipv6') ? 'public' : 'special'
}

function zoneOfIpv4(address: string): Zone {
  if (metadata4.check(address) || special4.check(address)) return 'special'
  return private4.check(address) ? 'private' : 'public'
}

function last32Bits(address: string): string {
  // The URL parser normalizes an IPv6 address to groups of hexadecimal digits (RFC 5952).
  const groups = new URL(`http://[${address}]`).hostname.slice(1, -1).split(':')
  const [high = 0, low = 0] = groups.slice(-2).map((group) => Number.parseInt(group || '0', 16))
  return [high >> 8, high & 255, low >> 8, low & 255].join('.')
}
