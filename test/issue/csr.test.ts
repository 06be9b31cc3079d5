import { createPublicKey, generateKeyPairSync } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { Refusal } from '../../src/errors.ts'
import { CsrError, type CsrReason, readCsr } from '../../src/issue/csr.ts'
import { type Asn1, context, nothing, raw, sequence, toDer } from '../../src/keys/asn1.ts'
import { encodePem } from '../../src/keys/pem.ts'
import { craftCsr, csrPem, csrRefusal } from '../support/craft-csr.ts'
import { opensslOutput, scratch } from '../support/openssl.ts'
import { ecPair, spkiOf } from '../support/test-ca.ts'

const ec = ecPair()
const refusalOfDer = (der: Buffer) => csrRefusal(csrPem(der))

const keys = new Map<string, string>()

/** A key of `openssl genpkey`, the same for the same options: an RSA key takes a tenth of a second or more. */
function keyOf(genpkey: string[]): string {
  const name = genpkey.join(' ')
  const pem = keys.get(name) ?? opensslOutput(['genpkey', ...genpkey])
  keys.set(name, pem)
  return pem
}

/** A request by `openssl req` for a key of `openssl genpkey`. */
function byOpenssl(genpkey: string[], req: string[] = []): string {
  const key = scratch()('key.pem', keyOf(genpkey))
  return opensslOutput(['req', '-new', '-key', key, '-subj', '/CN=x', ...req])
}
const p256 = ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256', '-pkeyopt', 'ec_param_enc:named_curve']
const rsa2048 = ['-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:2048']

describe('requests of openssl', () => {
  test.each([
    ['EC-P256', p256, []],
    ['EC-P256', p256, ['-sha384']],
    ['EC-P256', p256, ['-sha512']],
    ['EC-P384', ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-384'], ['-sha384']],
    ['Ed25519', ['-algorithm', 'ED25519'], []],
    ['RSA', rsa2048, []],
    ['RSA', rsa2048, ['-sha384']],
    ['RSA', rsa2048, ['-sha512']],
    ['RSA', ['-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:3072'], []],
    ['RSA', ['-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:2049'], []],
    ['EC-P256', p256, ['-addext', 'subjectAltName=DNS:a.test', '-addext', 'basicConstraints=critical,CA:TRUE']],
    ['EC-P256', p256, ['-utf8', '-subj', '/C=DE/O=Größe/CN=admin']],
  ])('%s %j %j are accepted', (keyType, genpkey, req) => {
    const pem = byOpenssl(genpkey, req)
    const verdict = readCsr(pem)
    const publicPem = opensslOutput(['req', '-noout', '-pubkey'], pem)
    expect(verdict.keyType).toBe(keyType)
    expect(verdict.spki.equals(spkiOf(createPublicKey(publicPem)))).toBe(true)
    expect(verdict.publicKey.export({ type: 'spki', format: 'pem' })).toBe(publicPem)
    expect(verdict.publicKeySha256).toMatch(/^[0-9a-f]{64}$/)
  })

  test.each<[CsrReason, string, string[], string[]]>([
    ['unsupported_signature', 'MD5', rsa2048, ['-md5']],
    ['unsupported_signature', 'SHA-1', rsa2048, ['-sha1']],
    ['unsupported_signature', 'SHA-1 with EC', p256, ['-sha1']],
    ['unsupported_signature', 'SHA-224', rsa2048, ['-sha224']],
    ['unsupported_signature', 'PSS', rsa2048, ['-sigopt', 'rsa_padding_mode:pss']],
    ['unsupported_key', 'an RSA-PSS key', ['-algorithm', 'RSA-PSS', '-pkeyopt', 'rsa_keygen_bits:2048'], []],
    ['unsupported_key', 'P-521', ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-521'], []],
    ['unsupported_key', 'P-224', ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-224'], []],
    ['unsupported_key', 'secp256k1', ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:secp256k1'], []],
    ['unsupported_key', 'brainpool', ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:brainpoolP256r1'], []],
    [
      'unsupported_key',
      'explicit parameters',
      ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256', '-pkeyopt', 'ec_param_enc:explicit'],
      [],
    ],
    ['unsupported_key', 'Ed448', ['-algorithm', 'ED448'], []],
    ['weak_key', 'RSA of 1024 bits', ['-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:1024'], []],
    ['weak_key', 'RSA of 2047 bits', ['-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:2047'], []],
    ['weak_key', 'RSA with exponent 3', [...rsa2048, '-pkeyopt', 'rsa_keygen_pubexp:3'], []],
  ])('%s: %s', (reason, _, genpkey, req) => {
    expect(csrRefusal(byOpenssl(genpkey, req))).toBe(reason)
  })

  test('a compressed point', () => {
    const file = scratch()
    const key = file('key.pem', opensslOutput(['genpkey', ...p256]))
    opensslOutput(['ec', '-in', key, '-conv_form', 'compressed', '-out', file('short.pem')])
    const pem = opensslOutput(['req', '-new', '-key', file('short.pem'), '-subj', '/CN=x'])
    expect(csrRefusal(pem)).toBe('unsupported_key')
  })

  test('a DSA key', () => {
    const { privateKey } = generateKeyPairSync('dsa', { modulusLength: 2048, divisorLength: 256 })
    const key = scratch()('key.pem', privateKey.export({ type: 'pkcs8', format: 'pem' }))
    expect(csrRefusal(opensslOutput(['req', '-new', '-key', key, '-subj', '/CN=x']))).toBe('unsupported_key')
  })
})

describe('text', () => {
  const good = csrPem(craftCsr({ key: ec.privateKey }))

  test('of older tools is accepted: NEW CERTIFICATE REQUEST, line ends of Windows', () => {
    expect(readCsr(good.replaceAll('CERTIFICATE REQUEST', 'NEW CERTIFICATE REQUEST')).keyType).toBe('EC-P256')
    expect(readCsr(good.replaceAll('\n', '\r\n')).keyType).toBe('EC-P256')
  })

  test.each([
    ['empty', ''],
    ['two blocks', good + good],
    ['headers', good.replace('REQUEST-----\n', 'REQUEST-----\nProc-Type: 4,ENCRYPTED\n\n')],
    ['another label', good.replaceAll('CERTIFICATE REQUEST', 'CERTIFICATE')],
    ['text around it', `Certificate Request:\n${good}`],
    ['bare base64', craftCsr({ key: ec.privateKey }).toString('base64')],
  ])('%s is not PEM', (_, text) => {
    expect(csrRefusal(text)).toBe('not_pem')
  })

  test('of 16 KiB and one is too large, and so is 1 MiB', () => {
    expect(csrRefusal('A'.repeat(16_385))).toBe('too_large')
    expect(csrRefusal(encodePem('CERTIFICATE REQUEST', Buffer.alloc(1 << 20)))).toBe('too_large')
    expect(csrRefusal('A'.repeat(16_384))).toBe('not_pem')
  })
})

describe('DER', () => {
  const good = craftCsr({ key: ec.privateKey })

  test('of an unknown type', () => {
    expect(refusalOfDer(Buffer.from('not der at all'))).toBe('not_der')
  })

  test('with trailing bytes', () => {
    expect(refusalOfDer(Buffer.concat([good, Buffer.of(0)]))).toBe('trailing')
    expect(refusalOfDer(Buffer.concat([good, good]))).toBe('trailing')
  })

  test('with an indefinite length', () => {
    const inner = good.subarray(good[1] === 0x81 ? 3 : 4)
    expect(refusalOfDer(Buffer.concat([Buffer.of(0x30, 0x80), inner, Buffer.of(0, 0)]))).toBe('not_der')
  })

  test('with a length that is not minimal', () => {
    const body = good.subarray(good[1] === 0x81 ? 3 : 4)
    const long = Buffer.concat([Buffer.of(0x30, 0x83, 0, body.length >> 8, body.length & 0xff), body])
    expect(refusalOfDer(long)).toBe('not_der')
  })

  test('nested a thousand levels', () => {
    let tree: Asn1 = nothing()
    for (let i = 0; i < 1000; i++) tree = raw(toDer(sequence([tree])))
    expect(refusalOfDer(craftCsr({ key: ec.privateKey, attributes: [context(0, [tree])] }))).toBe('not_der')
    expect(refusalOfDer(toDer(tree))).toBe('not_der')
  })

  test('cut anywhere', () => {
    for (let length = 1; length < good.length; length++) {
      expect(() => readCsr(csrPem(good.subarray(0, length)))).toThrow(CsrError)
    }
  })
})

test('the caller sees 422 bad_csr with a pointer, and nothing of the request', () => {
  const error: unknown = (() => {
    try {
      return readCsr('hunter2')
    } catch (thrown) {
      return thrown
    }
  })()
  expect(error).toBeInstanceOf(Refusal)
  expect(error).toMatchObject({ code: 'bad_csr', info: { errors: [{ pointer: '/x509/csr' }] } })
  expect(JSON.stringify(error)).not.toContain('hunter2')
})
