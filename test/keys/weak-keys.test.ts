import { generateKeyPairSync } from 'node:crypto'
import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Asn1Error, fromDerStrict } from '../../src/keys/asn1-strict.ts'
import { boolean, octetString, oid, raw, sequence, toDer } from '../../src/keys/asn1.ts'
import { readExtensions } from '../../src/keys/read-certificate.ts'
import { isGeneralNames } from '../../src/keys/read-extensions.ts'
import { faultOfAnchors } from '../../src/keys/trust-anchors.ts'
import { bitsOf, squareRoot, weaknessOf, weaknessOfRsa } from '../../src/keys/weak-keys.ts'
import { adjacentRsa, rocaRsa, squareRsa } from '../support/weak-rsa.ts'

describe('arithmetic', () => {
  test('a square root is rounded down', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 1n << 4096n }), (n) => {
        const root = squareRoot(n)
        expect(root * root <= n && (root + 1n) * (root + 1n) > n).toBe(true)
      }),
    )
  })

  test('a square is distinguished from its neighbours', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 2n, max: 1n << 2048n }), (root) => {
        expect([squareRoot(root * root - 1n), squareRoot(root * root), squareRoot(root * root + 1n)]).toEqual([
          root - 1n,
          root,
          root,
        ])
      }),
    )
  })

  test('the bit length is that of the binary text', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 1n, max: 1n << 300n }), (n) => {
        expect(bitsOf(n)).toBe(n.toString(2).length)
      }),
    )
  })
})

describe('a modulus', () => {
  test('of two random primes is accepted', () => {
    for (let n = 0; n < 10; n++)
      expect(weaknessOf(generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey)).toBeUndefined()
  })

  test.each([
    ['ROCA', rocaRsa],
    ['square', squareRsa],
    ['too close', adjacentRsa],
  ])('is refused: %s', (words, make) => {
    for (let count = 0; count < 3; count++) {
      const { n, e } = make()
      expect(weaknessOfRsa(n, e, 4096)).toContain(words)
    }
  })

  test('of any kind is judged without an exception', () => {
    const numbers = fc.bigInt({ min: 0n, max: 1n << 4100n })
    fc.assert(
      fc.property(numbers, numbers, (n, e) => {
        expect(['string', 'undefined']).toContain(typeof weaknessOfRsa(n, e, 4096))
      }),
      { numRuns: 50 },
    )
  })
})

/** RFC: base 128, the highest bit set in all but the last byte of an arc (X.690 section 8.19). */
function oidDer(arcs: readonly bigint[]): Buffer {
  const bytes = arcs.flatMap((arc) => {
    const digits = [Number(arc & 0x7fn)]
    for (let rest = arc >> 7n; rest > 0n; rest >>= 7n) digits.unshift(Number(rest & 0x7fn) | 0x80)
    return digits
  })
  return Buffer.from([0x06, bytes.length, ...bytes])
}

describe('parsers', () => {
  test('an OID is accepted when every arc has at most 32 bits', () => {
    const arc = fc.bigInt({ min: 0n, max: (1n << 35n) + 5n })
    fc.assert(
      fc.property(fc.array(arc, { minLength: 1, maxLength: 10 }), (arcs) => {
        const read = () => fromDerStrict(oidDer(arcs))
        if (arcs.every((value) => value < 1n << 32n)) expect(read).not.toThrow()
        else expect(read).toThrow(Asn1Error)
      }),
    )
  })

  test('extensions are accepted when none occurs twice', () => {
    const numbers = fc.array(fc.tuple(fc.integer({ min: 1, max: 30 }), fc.boolean()), { maxLength: 8 })
    fc.assert(
      fc.property(numbers, (list) => {
        const nodes = list.map(([n, critical]) =>
          sequence([oid(`2.5.29.${n}`), ...(critical ? [boolean(true)] : []), octetString(Buffer.of(5, 0))]),
        )
        const read = () => readExtensions(nodes)
        if (new Set(list.map(([n]) => n)).size === list.length)
          expect(read().map(({ critical }) => critical)).toEqual(list.map(([, critical]) => critical))
        else expect(read).toThrow(Asn1Error)
      }),
    )
  })

  test('names are judged without an exception, whatever the bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        expect(typeof isGeneralNames(Buffer.from(bytes))).toBe('boolean')
      }),
    )
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 15 }), fc.uint8Array({ maxLength: 20 }), (type, content) => {
        const name = raw(Buffer.concat([Buffer.of(0x80 | type, content.length), content]))
        const valid = isGeneralNames(toDer(sequence([name])))
        if (type > 8) expect(valid).toBe(false)
        if (type === 7) expect(valid).toBe(content.length === 4 || content.length === 16)
      }),
    )
  })

  test('anchors are judged without an exception, whatever the text', () => {
    fc.assert(
      fc.property(fc.base64String(), fc.string(), (base64, around) => {
        const pem = `${around}\n-----BEGIN CERTIFICATE-----\n${base64}\n-----END CERTIFICATE-----\n`
        expect(faultOfAnchors(pem)).toContain('PEM certificates')
      }),
    )
  })
})
