import { isIPv4, isIPv6 } from 'node:net'

const fourBytes = (text: string): number[] => text.split('.').map(Number)

/** The 4 or 16 bytes of an address, as iPAddress holds them (RFC 5280 section 4.2.1.6). No zone. */
export function ipAddressBytes(text: string): Buffer {
  if (isIPv4(text)) return Buffer.from(fourBytes(text))
  if (!isIPv6(text) || text.includes('%')) throw new TypeError('not an IP address')
  const [before = '', after] = text.split('::')
  const head = groups(before)
  if (after === undefined) return Buffer.from(head)
  const tail = groups(after)
  return Buffer.from([...head, ...Array<number>(16 - head.length - tail.length).fill(0), ...tail])
}

function groups(text: string): number[] {
  if (text === '') return []
  return text.split(':').flatMap((group) => {
    if (group.includes('.')) return fourBytes(group)
    const value = Number.parseInt(group, 16)
    return [value >> 8, value & 0xff]
  })
}
