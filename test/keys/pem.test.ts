import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { PemError, decodePem, decodePemBlocks, encodePem } from '../../src/keys/pem.ts'
import { openssl } from '../support/openssl.ts'
import { testCa } from '../support/test-ca.ts'

const labels = ['THING']
const block = (body: string): string => `-----BEGIN THING-----\n${body}\n-----END THING-----\n`

describe('refused', () => {
  test.each([
    ['nothing', ''],
    ['a newline', '\n'],
    ['text', 'hello'],
    ['another label', encodePem('OTHER', Buffer.from('x'))],
    ['a label that only begins right', encodePem('THING TOO', Buffer.from('x'))],
    ['text before it', `hello\n${block('AAAA')}`],
    ['a newline before it', `\n${block('AAAA')}`],
    ['text behind it', `${block('AAAA')}hello`],
    ['a space behind it', `${block('AAAA')} `],
    ['a second newline behind it', `${block('AAAA')}\n`],
    ['two blocks', block('AAAA') + block('AAAA')],
    ['a block without an end', '-----BEGIN THING-----\nAAAA\n'],
    ['an end of another label', '-----BEGIN THING-----\nAAAA\n-----END OTHER-----\n'],
    ['an empty block', '-----BEGIN THING-----\n-----END THING-----\n'],
    ['a header', block('Proc-Type: 4,ENCRYPTED\n\nAAAA')],
    ['a nested block', block('-----BEGIN THING-----\nAAAA\n-----END THING-----')],
    ['base64 without its padding', block('AAA')],
    ['padding in the middle', block('AA==AAAA')],
    ['padding too much', block('AAA==')],
    ['bits behind the last byte', block('AAB=')],
    ['the URL alphabet', block('AA-_')],
    ['spaces in base64', block('AA AA')],
    ['a tab', block('AAAA\t')],
    ['a NUL', block('AAAA\0')],
    ['a carriage return alone', block('AAAA').replaceAll('\n', '\r')],
    ['four dashes', block('AAAA').replace('-----BEGIN', '----BEGIN')],
    ['lower case', block('AAAA').replace('BEGIN', 'begin')],
  ])('%s', (_, text) => {
    expect(() => decodePem(text, labels)).toThrow(PemError)
  })

  test('more blocks than allowed', () => {
    expect(decodePemBlocks(block('AAAA').repeat(3), labels, 3)).toHaveLength(3)
    expect(() => decodePemBlocks(block('AAAA').repeat(4), labels, 3)).toThrow(PemError)
  })
})

test.each([
  ['line ends of Windows', block('AAAA').replaceAll('\n', '\r\n')],
  ['no newline at the end', block('AAAA').trimEnd()],
  ['another of the labels', encodePem('NEW THING', Buffer.alloc(3))],
])('accepted: %s', (_, text) => {
  expect(decodePem(text, [...labels, 'NEW THING']).equals(Buffer.alloc(3))).toBe(true)
})

test('encoded text decodes to the same bytes', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 500 }), (bytes) => {
      const text = encodePem('THING', Buffer.from(bytes))
      expect(decodePem(text, labels).equals(Buffer.from(bytes))).toBe(true)
      expect(Math.max(...text.split('\n').map((line) => line.length))).toBeLessThanOrEqual(64)
    }),
  )
})

test('openssl reads our encoding', () => {
  const { root } = testCa(new Date())
  expect(openssl(['x509', '-noout', '-subject'], root.pem).ok).toBe(true)
})
