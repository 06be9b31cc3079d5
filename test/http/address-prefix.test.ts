import { isIPv6 } from 'node:net'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { addressPrefix } from '../../src/http/address-prefix.ts'

test.each([
  ['192.0.2.7', '192.0.2.7'],
  ['::ffff:192.0.2.7', '192.0.2.7'],
  ['::FFFF:192.0.2.7', '192.0.2.7'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
  ['2001:0DB8:0001:0002::', '2001:db8:1:2::/64'],
  ['2001:db8::1', '2001:db8:0:0::/64'],
  ['::1', '0:0:0:0::/64'],
  ['::', '0:0:0:0::/64'],
  ['1:2:3::', '1:2:3:0::/64'],
  ['64:ff9b::192.0.2.7', '64:ff9b:0:0::/64'],
  ['1:2:3:4:5:6:1.2.3.4', '1:2:3:4::/64'],
  ['fe80::1%eth0', 'fe80:0:0:0::/64'],
  [undefined, 'unknown'],
  ['', 'unknown'],
  ['/run/purser.sock', 'unknown'],
  ['1.2.3.4.5', 'unknown'],
  ['01.2.3.4', 'unknown'],
  ['%eth0', 'unknown'],
])('%s is %s', (address, prefix) => {
  expect(addressPrefix(address)).toBe(prefix)
})

test('all spellings of an address and all addresses of its /64 have one prefix', () => {
  fc.assert(
    fc.property(fc.tuple(...Array.from({ length: 8 }, () => fc.integer({ min: 0, max: 0xffff }))), (groups) => {
      const plain = groups.map((g) => g.toString(16)).join(':')
      const padded = groups.map((g) => g.toString(16).padStart(4, '0').toUpperCase()).join(':')
      // The URL parser writes the shortest form of RFC 5952.
      const shortest = new URL(`http://[${plain}]`).hostname.slice(1, -1)
      fc.pre(!shortest.startsWith('::ffff:'))
      const prefix = `${groups
        .slice(0, 4)
        .map((g) => g.toString(16))
        .join(':')}::/64`
      expect([plain, padded, shortest].map(addressPrefix)).toEqual([prefix, prefix, prefix])
    }),
  )
  fc.assert(
    fc.property(fc.ipV6(), (address) => {
      expect(isIPv6(address)).toBe(true)
      expect(addressPrefix(address)).not.toBe('unknown')
      expect(addressPrefix(address)).not.toContain('NaN')
    }),
  )
})
