/** The address of the caller: that of the socket, or behind trusted proxies the nearest address that is not trusted. */
import type { IncomingMessage } from 'node:http'
import { BlockList, isIP } from 'node:net'

const plain = (address: string): string => (address.startsWith('::ffff:') ? address.slice('::ffff:'.length) : address)

/** @param trusted networks as `address/bits`. `X-Forwarded-For` from other addresses is ignored */
export function createAddressOf(trusted: readonly string[]): (message: IncomingMessage) => string {
  const proxies = new BlockList()
  for (const network of trusted) {
    const [address = '', bits = ''] = network.split('/')
    proxies.addSubnet(address, Number(bits), isIP(address) === 6 ? 'ipv6' : 'ipv4')
  }
  const isProxy = (address: string): boolean => proxies.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4')

  return (message) => {
    const peer = plain(message.socket.remoteAddress ?? '')
    if (trusted.length === 0 || !isIP(peer) || !isProxy(peer)) return peer
    const hops = (message.headersDistinct['x-forwarded-for'] ?? []).join(',').split(',')
    for (const hop of hops.toReversed()) {
      const address = plain(hop.trim())
      if (!isIP(address)) return peer
      if (!isProxy(address)) return address
    }
    return peer
  }
}
