import type { IncomingMessage } from 'node:http'
import { describe, expect, it } from 'vitest'
import { createAddressOf } from '../../src/http/addresses.ts'

/** A message from a peer, with its X-Forwarded-For headers in order. */
const from = (peer: string | undefined, ...forwarded: string[]): IncomingMessage => {
  const message: unknown = {
    socket: { remoteAddress: peer },
    headersDistinct: forwarded.length > 0 ? { 'x-forwarded-for': forwarded } : {},
  }
  const isMessage = (value: unknown): value is IncomingMessage => value === message
  if (!isMessage(message)) throw new Error('no message')
  return message
}

describe('the address of a caller', () => {
  const addressBehindProxy = createAddressOf(['10.0.0.0/8', 'fd00::/8'])
  const alone = createAddressOf([])

  it.each([
    ['a stranger who claims another', '203.0.113.9', ['198.51.100.1'], '203.0.113.9'],
    ['a proxy without the header', '10.1.1.1', [], '10.1.1.1'],
    ['a proxy that names one', '10.1.1.1', ['198.51.100.1'], '198.51.100.1'],
    ['a proxy over IPv4 in IPv6', '::ffff:10.1.1.1', ['198.51.100.1'], '198.51.100.1'],
    ['a proxy over IPv6', 'fd00::1', ['2001:db8::7'], '2001:db8::7'],
    ['a caller who put one in front', '10.1.1.1', ['1.1.1.1, 198.51.100.1'], '198.51.100.1'],
    ['a caller who sent a header of its own', '10.1.1.1', ['1.1.1.1', '198.51.100.1'], '198.51.100.1'],
    ['two proxies', '10.1.1.1', ['1.1.1.1, 198.51.100.1, 10.2.2.2'], '198.51.100.1'],
    ['proxies all the way', '10.1.1.1', ['10.3.3.3, 10.2.2.2'], '10.1.1.1'],
    ['a caller in IPv4 in IPv6', '10.1.1.1', ['::ffff:198.51.100.1'], '198.51.100.1'],
    ['garbage', '10.1.1.1', ['198.51.100.1, unknown'], '10.1.1.1'],
    ['an address with a port', '10.1.1.1', ['198.51.100.1:4711'], '10.1.1.1'],
    ['a script', '10.1.1.1', ['<script>'], '10.1.1.1'],
    ['nothing between commas', '10.1.1.1', ['198.51.100.1,'], '10.1.1.1'],
    ['no peer', undefined, ['198.51.100.1'], ''],
  ])('is right for %s', (_, peer, forwarded, expected) => {
    expect(addressBehindProxy(from(peer, ...forwarded))).toBe(expected)
  })

  it('is the socket’s when no proxy is trusted', () => {
    expect(alone(from('10.1.1.1', '198.51.100.1'))).toBe('10.1.1.1')
    expect(alone(from('::ffff:10.1.1.1', '198.51.100.1'))).toBe('10.1.1.1')
  })
})
