import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Asn1Error, fromDerStrict } from '../../src/keys/asn1-strict.ts'
import {
  type Asn1,
  bitString,
  boolean,
  context,
  integer,
  nothing,
  octetString,
  oid,
  raw,
  sequence,
  set,
  time,
  toDer,
  utf8,
} from '../../src/keys/asn1.ts'

const hex = (tree: Asn1): string => toDer(tree).toString('hex')
const strict = (digits: string): Asn1 => fromDerStrict(Buffer.from(digits.replaceAll(' ', ''), 'hex'))

describe('encoding', () => {
  test.each([
    [0, '020100'],
    [127, '02017f'],
    [128, '02020080'],
    [65_537, '0203010001'],
    [2n ** 64n, '0209010000000000000000'],
    [Buffer.from('0000ff', 'hex'), '020200ff'],
    [Buffer.from('00', 'hex'), '020100'],
  ])('integer %s is minimal and positive', (value, expected) => {
    expect(hex(integer(value))).toBe(expected)
  })

  test('a negative integer is refused', () => {
    expect(() => integer(-1)).toThrow(RangeError)
  })

  test.each([
    ['2049-12-31T23:59:59.999Z', '170d3439313233313233353935395a'],
    ['2050-01-01T00:00:00Z', '180f32303530303130313030303030305a'],
    ['1950-01-01T00:00:00Z', '170d3530303130313030303030305a'],
    ['9999-12-31T23:59:59Z', '180f39393939313233313233353935395a'],
  ])('time %s is UTCTime through 2049, GeneralizedTime after', (at, expected) => {
    expect(hex(time(new Date(at)))).toBe(expected)
  })

  test.each(['1949-12-31T23:59:59Z', '+010000-01-01T00:00:00Z', 'never'])('time %s cannot be expressed', (at) => {
    expect(() => time(new Date(at))).toThrow(RangeError)
  })

  test('an OID with a second arc above 39 keeps it (2.999)', () => {
    expect(hex(oid('2.999.1'))).toBe('0603883701')
  })

  test('text outside ASCII is UTF-8', () => {
    expect(hex(utf8('é€'))).toBe('0c05c3a9e282ac')
  })

  test.each(['05', ''])('raw accepts one DER value, not %j', (digits) => {
    expect(() => raw(Buffer.from(digits, 'hex'))).toThrow(RangeError)
  })

  test('raw inserts DER of any length unchanged', () => {
    for (const length of [0, 127, 128, 255, 256, 70_000]) {
      const der = toDer(sequence([octetString(Buffer.alloc(length, 0x5a)), boolean(true)]))
      expect(toDer(raw(der)).equals(der)).toBe(true)
      expect(toDer(context(1, [raw(der)])).equals(toDer(context(1, [fromDerStrict(der, { maxBytes: 100_000 })])))).toBe(
        true,
      )
    }
  })
})

describe('strict parsing refuses', () => {
  test.each([
    ['nothing', ''],
    ['half a header', '30'],
    ['a length beyond the end', '3003 0201'],
    ['an indefinite length', '3080 020100 0000'],
    ['an indefinite length inside', '3005 3080 05 0000'],
    ['a non-minimal length of one byte', '308103 020100'],
    ['a non-minimal length of two bytes', '30820003 020100'],
    ['a length of nine bytes', '3089000000000000000003 020100'],
    ['a padded positive INTEGER', '02020001'],
    ['a padded negative INTEGER', '0202ffff'],
    ['an empty INTEGER', '0200'],
    ['an empty ENUMERATED', '0a00'],
    ['a BOOLEAN of 01', '010101'],
    ['a BOOLEAN of two bytes', '0102ffff'],
    ['a NULL with content', '050100'],
    ['an empty OID', '0600'],
    ['an OID cut in an arc', '06022a86'],
    ['an OID with a padded arc', '06032a8001'],
    ['an OID that begins padded', '060280 01'],
    ['a BIT STRING without its first byte', '0300'],
    ['a BIT STRING with 8 unused bits', '03020800'],
    ['a BIT STRING with unused bits and no content', '030101'],
    ['a BIT STRING whose unused bits are set', '030204ff'],
    ['a BIT STRING in pieces', '2304 03020000'],
    ['an OCTET STRING in pieces', '2405 0403010203'],
    ['a UTF8String in pieces', '2c03 0c0141'],
    ['a primitive SEQUENCE', '1000'],
    ['a primitive SET', '1100'],
    ['a constructed INTEGER', '2203 020100'],
    ['an end-of-contents as a value', '3002 0000'],
    ['a tag above 30', '1f8148 00'],
    ['a tag above 30 inside a context tag', 'a004 bf8148 00'],
    ['a BMPString of odd length', '1e03 004100'],
  ])('%s', (_, digits) => {
    expect(() => strict(digits)).toThrow(Asn1Error)
  })

  test('trailing bytes, with an error that names them', () => {
    for (const tail of ['00', '0000', '3000']) {
      expect(() => strict(`3003020100${tail}`)).toThrow(expect.objectContaining({ trailing: true }))
    }
  })

  test('more bytes than allowed', () => {
    const der = toDer(octetString(Buffer.alloc(100)))
    expect(() => fromDerStrict(der, { maxBytes: der.length - 1 })).toThrow(Asn1Error)
    expect(fromDerStrict(der, { maxBytes: der.length })).toBeDefined()
  })

  test('33 levels, and ten thousand', () => {
    const nested = (levels: number): Asn1 => {
      let tree = nothing()
      for (let i = 1; i < levels; i++) tree = raw(toDer(sequence([tree])))
      return tree
    }
    expect(fromDerStrict(toDer(nested(32)))).toBeDefined()
    expect(() => fromDerStrict(toDer(nested(33)))).toThrow(Asn1Error)
    expect(() => fromDerStrict(toDer(nested(10_000)), { maxBytes: 100_000 })).toThrow(Asn1Error)
  })
})

const leaf: fc.Arbitrary<Asn1> = fc.oneof(
  fc.bigInt({ min: 0n, max: 2n ** 200n }).map(integer),
  fc.uint8Array({ maxLength: 300 }).map(octetString),
  fc.uint8Array({ maxLength: 300 }).map((bytes) => bitString(bytes)),
  fc.string().map(utf8),
  fc.boolean().map(boolean),
  fc.constant(nothing()),
  fc.array(fc.nat(0xffff_ffff), { maxLength: 6 }).map((arcs) => oid(['1', '2', ...arcs].join('.'))),
)
const trees: fc.Arbitrary<Asn1> = fc.letrec<{ tree: Asn1 }>((tie) => ({
  tree: fc.oneof(
    { maxDepth: 5 },
    leaf,
    fc.array(tie('tree'), { maxLength: 4 }).map(sequence),
    fc.array(tie('tree'), { maxLength: 4 }).map(set),
    fc.array(tie('tree'), { maxLength: 4 }).map((children) => context(3, children)),
  ),
})).tree

test('encoded values are strict DER and decode to the same tree', () => {
  fc.assert(
    fc.property(trees, (tree) => {
      const der = toDer(tree)
      expect(toDer(fromDerStrict(der, { maxBytes: 1 << 20 })).equals(der)).toBe(true)
    }),
    { numRuns: 300 },
  )
})

test('arbitrary bytes decode and encode to themselves, or are refused as Asn1Error', () => {
  fc.assert(
    fc.property(
      fc.oneof(fc.uint8Array({ maxLength: 64 }), fc.tuple(trees, fc.nat(), fc.nat(255)).map(spoil)),
      (bytes) => {
        try {
          expect(toDer(fromDerStrict(bytes)).equals(Buffer.from(bytes))).toBe(true)
        } catch (error) {
          expect(error).toBeInstanceOf(Asn1Error)
        }
      },
    ),
    { numRuns: 1000 },
  )
})

function spoil([tree, at, byte]: [Asn1, number, number]): Uint8Array {
  const der = toDer(tree)
  der[at % der.length] = byte
  return der
}
