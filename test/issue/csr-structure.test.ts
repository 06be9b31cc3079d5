import { sign } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { readCsr } from '../../src/issue/csr.ts'
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
  toDer,
  utf8,
} from '../../src/keys/asn1.ts'
import { craftCsr, csrPem, csrRefusal, ed25519, ecdsaSha256, rsaSha256 } from '../support/craft-csr.ts'
import { ecPair, edPair, rsaPair, spkiOf } from '../support/test-ca.ts'

const ec = ecPair()
const rsa = rsaPair()
const ed = edPair()
const refusalOfDer = (der: Buffer) => csrRefusal(csrPem(der))

describe('structure', () => {
  const attribute = (...values: Asn1[]): Asn1 => sequence([oid('1.2.840.113549.1.9.7'), set(values)])
  const key = ec.privateKey

  test.each<[string, Buffer]>([
    ['version 1', craftCsr({ key, version: integer(1) })],
    ['a version of two bytes', craftCsr({ key, version: integer(256) })],
    ['a version of another type', craftCsr({ key, version: boolean(false) })],
    ['no attributes', craftCsr({ key, attributes: [] })],
    ['attributes twice', craftCsr({ key, attributes: [context(0, []), context(0, [])] })],
    ['attributes under another tag', craftCsr({ key, attributes: [context(1, [])] })],
    ['an attribute that is a number', craftCsr({ key, attributes: [context(0, [integer(1)])] })],
    ['an attribute without values', craftCsr({ key, attributes: [context(0, [sequence([oid('1.2.3')])])] })],
    [
      'an attribute with a third member',
      craftCsr({ key, attributes: [context(0, [sequence([oid('1.2.3'), set([]), nothing()])])] }),
    ],
    ['a subject that is text', craftCsr({ key, subject: utf8('CN=admin') })],
    ['a subject of something else', craftCsr({ key, subject: sequence([sequence([])]) })],
    ['a fourth member', craftCsr({ key, behind: [nothing()] })],
    ['only its information', toDer(sequence([]))],
    [
      'a signature that is not a BIT STRING',
      toDer(sequence([sequence([]), ecdsaSha256(), octetString(Buffer.alloc(8))])),
    ],
    ['a certificate', Buffer.from(toDer(sequence([sequence([context(0, [integer(2)])]), ecdsaSha256()])))],
  ])('%s is malformed', (_, der) => {
    expect(refusalOfDer(der)).toBe('malformed')
  })

  test('a signature that is 7 bits short', () => {
    const info = toDer(sequence([integer(0), sequence([]), raw(spkiOf(ec.publicKey)), context(0, [])]))
    const signature = bitString(Buffer.concat([sign('sha256', info, key), Buffer.of(0)]), 7)
    expect(refusalOfDer(toDer(sequence([raw(info), ecdsaSha256(), signature])))).toBe('malformed')
  })

  test.each<[string, Asn1]>([
    ['300 relative names', sequence(Array.from({ length: 300 }, () => set([sequence([oid('2.5.4.3'), utf8('x')])])))],
    ['a NUL in its name', sequence([set([sequence([oid('2.5.4.3'), utf8('admin\0.test')])])])],
    ['UTF-16 in its name', sequence([set([sequence([oid('2.5.4.3'), raw(Buffer.from('1e0400410042', 'hex'))])])])],
  ])('a subject with %s is accepted and ignored', (_, subject) => {
    const verdict = readCsr(csrPem(craftCsr({ key, subject })))
    expect(verdict.spki.equals(spkiOf(ec.publicKey))).toBe(true)
    expect(Object.keys(verdict).sort()).toEqual(['keyType', 'publicKey', 'publicKeySha256', 'spki'])
  })

  test('a subject with an OID arc beyond 32 bits is refused', () => {
    const id = raw(Buffer.from('06075503a0ffffff7f', 'hex'))
    expect(refusalOfDer(craftCsr({ key, subject: sequence([set([sequence([id, utf8('x')])])]) }))).toBe('not_der')
  })

  test('a subject of 10,000 relative names is too large', () => {
    const many = Array.from({ length: 10_000 }, () => set([sequence([oid('2.5.4.3'), utf8('x')])]))
    expect(refusalOfDer(craftCsr({ key, subject: sequence(many) }))).toBe('too_large')
  })

  test('attributes with any well-formed content are accepted', () => {
    const attributes = [context(0, [attribute(utf8('secret')), attribute(sequence([context(5, [nothing()])]))])]
    expect(readCsr(csrPem(craftCsr({ key, attributes }))).keyType).toBe('EC-P256')
  })
})

describe('proof of possession', () => {
  const key = ec.privateKey
  const other = ecPair()

  test.each<[string, Buffer]>([
    ['by another key', craftCsr({ key, spki: spkiOf(other.publicKey) })],
    ['empty', craftCsr({ key, signature: Buffer.alloc(0) })],
    ['of zeros', craftCsr({ key, signature: Buffer.from('3006020100020100', 'hex') })],
    ['of another digest than it states', craftCsr({ key, digest: 'sha384' })],
    ['in IEEE P1363 form', craftCsr({ key, signature: Buffer.alloc(64, 1) })],
    [
      'RSA by another key',
      craftCsr({ key: rsa.privateKey, spki: spkiOf(rsaPair().publicKey), algorithm: rsaSha256() }),
    ],
    [
      'Ed25519 of other bytes',
      craftCsr({
        key: ed.privateKey,
        algorithm: ed25519(),
        digest: null,
        signature: sign(null, Buffer.of(1), ed.privateKey),
      }),
    ],
  ])('%s', (_, der) => {
    expect(refusalOfDer(der)).toBe('bad_signature')
  })

  test.each<[string, Buffer]>([
    ['RSA by an EC key', craftCsr({ key, algorithm: rsaSha256() })],
    ['ECDSA by an RSA key', craftCsr({ key: rsa.privateKey })],
    ['Ed25519 by an EC key', craftCsr({ key, algorithm: ed25519() })],
    ['ECDSA with a NULL parameter', craftCsr({ key, algorithm: sequence([oid('1.2.840.10045.4.3.2'), nothing()]) })],
    ['RSA without its NULL', craftCsr({ key: rsa.privateKey, algorithm: sequence([oid('1.2.840.113549.1.1.11')]) })],
    ['an empty algorithm', craftCsr({ key, algorithm: sequence([]) })],
    ['an algorithm that is a number', craftCsr({ key, algorithm: integer(1) })],
  ])('unsupported: %s', (_, der) => {
    expect(refusalOfDer(der)).toBe('unsupported_signature')
  })

  test('a request that was changed after signing', () => {
    const der = craftCsr({ key, subject: sequence([set([sequence([oid('2.5.4.3'), utf8('web')])])]) })
    const at = der.indexOf('web')
    der.write('adm', at)
    expect(refusalOfDer(der)).toBe('bad_signature')
  })
})
