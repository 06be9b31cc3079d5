import { describe, expect, test } from 'vitest'
import { readCsr } from '../../src/issue/csr.ts'
import { type Asn1, bitString, integer, nothing, octetString, oid, raw, sequence, toDer } from '../../src/keys/asn1.ts'
import { craftCsr, craftSpki, csrPem, csrRefusal, ecSpki, ed25519, rsaSha256, rsaSpki } from '../support/craft-csr.ts'
import { ecPair, edPair, rsaPair, spkiOf } from '../support/test-ca.ts'

const ec = ecPair()
const rsa = rsaPair()
const ed = edPair()
const refusalOfDer = (der: Buffer) => csrRefusal(csrPem(der))

describe('keys', () => {
  const p256Oid = '1.2.840.10045.3.1.7'
  const point = spkiOf(ec.publicKey).subarray(26)
  const offCurve = Buffer.from(point)
  offCurve[64]! ^= 1
  const key = ec.privateKey
  const edKey = spkiOf(ed.publicKey).subarray(12)
  const ecId = oid('1.2.840.10045.2.1')

  test.each<[string, Buffer]>([
    ['a point off its curve', ecSpki(p256Oid, offCurve)],
    ['a point of zeros', ecSpki(p256Oid, Buffer.concat([Buffer.of(4), Buffer.alloc(64)]))],
    ['coordinates above the field', ecSpki(p256Oid, Buffer.concat([Buffer.of(4), Buffer.alloc(64, 0xff)]))],
    ['the point at infinity', ecSpki(p256Oid, Buffer.of(0))],
    ['no point', ecSpki(p256Oid, Buffer.alloc(0))],
    ['a compressed point', ecSpki(p256Oid, Buffer.concat([Buffer.of(2 + (point[64]! & 1)), point.subarray(1, 33)]))],
    ['a hybrid point', ecSpki(p256Oid, Buffer.concat([Buffer.of(6 + (point[64]! & 1)), point.subarray(1)]))],
    ['a point and a byte', ecSpki(p256Oid, Buffer.concat([point, Buffer.of(0)]))],
    ['a point of another curve', ecSpki('1.3.132.0.34', point)],
    ['no curve', craftSpki([ecId], point)],
    ['an implicit curve', craftSpki([ecId, nothing()], point)],
    ['an unknown algorithm', craftSpki([oid('1.2.3.4')], point)],
    ['id-ecDH', craftSpki([oid('1.3.132.1.12'), oid(p256Oid)], point)],
    ['X25519', craftSpki([oid('1.3.101.110')], edKey)],
    ['Ed25519 with parameters', craftSpki([oid('1.3.101.112'), nothing()], edKey)],
    ['Ed25519 of 31 bytes', craftSpki([oid('1.3.101.112')], edKey.subarray(1))],
    ['Ed25519 of 33 bytes', craftSpki([oid('1.3.101.112')], Buffer.concat([edKey, Buffer.of(0)]))],
    ['RSA without its NULL', craftSpki([oid('1.2.840.113549.1.1.1')], spkiOf(rsa.publicKey).subarray(24))],
    [
      'RSA with a parameter',
      craftSpki([oid('1.2.840.113549.1.1.1'), sequence([])], spkiOf(rsa.publicKey).subarray(24)),
    ],
  ])('unsupported: %s', (_, spki) => {
    expect(refusalOfDer(craftCsr({ key, spki }))).toBe('unsupported_key')
  })

  test.each<[string, Buffer]>([
    ['a third member', toDer(sequence([sequence([ecId, oid(p256Oid)]), bitString(point), nothing()]))],
    ['a third part of its algorithm', craftSpki([ecId, oid(p256Oid), nothing()], point)],
    ['an OCTET STRING', toDer(sequence([sequence([ecId, oid(p256Oid)]), octetString(point)]))],
    ['no algorithm', toDer(sequence([sequence([]), nothing()]))],
    ['an RSA key that is not DER', craftSpki([oid('1.2.840.113549.1.1.1'), nothing()], Buffer.alloc(300))],
    [
      'an RSA key of three numbers',
      craftSpki([oid('1.2.840.113549.1.1.1'), nothing()], toDer(sequence([integer(1), integer(3), integer(5)]))),
    ],
  ])('malformed: %s', (_, spki) => {
    expect(refusalOfDer(craftCsr({ key, spki }))).toBe('malformed')
  })

  const modulus = BigInt(
    `0x${spkiOf(rsa.publicKey)
      .subarray(33, 33 + 256)
      .toString('hex')}`,
  )
  const good = integer(65_537)
  test.each<[string, Asn1, Asn1]>([
    ['8192 bits', integer((1n << 8191n) + 1n), good],
    ['4097 bits', integer((1n << 4096n) + 1n), good],
    ['2047 bits', integer((1n << 2046n) + 1n), good],
    ['zero', integer(0), good],
    ['an even modulus', integer(modulus + 1n), good],
    ['a modulus with the factor 3', integer(3n * ((1n << 2047n) + 1n)), good],
    ['a negative modulus', raw(Buffer.concat([Buffer.from('02820100', 'hex'), Buffer.alloc(256, 0x81)])), good],
    ['exponent 0', integer(modulus), integer(0)],
    ['exponent 1', integer(modulus), integer(1)],
    ['exponent 3', integer(modulus), integer(3)],
    ['exponent 65535', integer(modulus), integer(65_535)],
    ['exponent 65538', integer(modulus), integer(65_538)],
    ['an exponent above 2^32', integer(modulus), integer(0x1_0000_0001n)],
    ['an exponent of the size of the modulus', integer(modulus), integer(modulus - 2n)],
    ['a negative exponent', integer(modulus), raw(Buffer.from('0203810001', 'hex'))],
  ])('weak: RSA with %s', (_, n, e) => {
    const spki = rsaSpki(n, e)
    expect(refusalOfDer(craftCsr({ key: rsa.privateKey, spki, algorithm: rsaSha256() }))).toBe('weak_key')
  })

  test.each([
    ['the neutral element', '0100000000000000000000000000000000000000000000000000000000000000'],
    ['the neutral element with a sign', '0100000000000000000000000000000000000000000000000000000000000080'],
    ['order 2', 'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f'],
    ['order 4', '0000000000000000000000000000000000000000000000000000000000000000'],
    ['order 4, the other', '0000000000000000000000000000000000000000000000000000000000000080'],
    ['order 8', 'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a'],
    ['order 8, the other', '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05'],
    ['y = p, which is 0', 'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f'],
    ['y = p + 1, which is 1', 'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f'],
  ])('weak: Ed25519, %s', (_, bytes) => {
    const spki = craftSpki([oid('1.3.101.112')], Buffer.from(bytes, 'hex'))
    const der = craftCsr({ key: ed.privateKey, spki, algorithm: ed25519(), digest: null })
    expect(refusalOfDer(der)).toBe('weak_key')
  })

  test('a blocked key is refused by its SHA-256, whatever signed it', () => {
    const pem = csrPem(craftCsr({ key }))
    const { publicKeySha256 } = readCsr(pem, () => false)
    const blocked = (sha256: string): boolean => sha256 === publicKeySha256
    expect(() => readCsr(pem, blocked)).toThrow(expect.objectContaining({ reason: 'refused_key' }))
    expect(readCsr(csrPem(craftCsr({ key: ecPair().privateKey })), blocked).keyType).toBe('EC-P256')
  })
})
