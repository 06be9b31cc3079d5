import { X509Certificate } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { buildCaCsr, createIssuingCertificate, createRootCertificate } from '../../src/keys/ca-certificates.ts'
import { createRandomBytes } from '../../src/start/random.ts'
import { createIssuer, serialFrom } from '../../src/keys/certificate.ts'
import { openssl, opensslOutput, scratch } from '../support/openssl.ts'
import { ecPair, edPair, newSerial, rsaPair, secondsFrom, testCa } from '../support/test-ca.ts'

const now = new Date()
const text = (pem: string): string => opensslOutput(['x509', '-noout', '-text'], pem)

test.each([
  ['EC P-256', ecPair(), ecPair(), 'ecdsa-with-SHA256'],
  ['EC P-384 over EC P-256', ecPair('P-384'), ecPair(), 'ecdsa-with-SHA384'],
  ['RSA', rsaPair(), rsaPair(3072), 'sha256WithRSAEncryption'],
  ['Ed25519', edPair(), edPair(), 'ED25519'],
])('openssl verifies the chain strictly: %s', (_, rootKeys, issuingKeys, algorithm) => {
  const { root, issuing } = testCa(now, { rootKeys, issuingKeys })
  const rootFile = scratch()('root.pem', root.pem)
  expect(openssl(['verify', '-x509_strict', '-check_ss_sig', '-CAfile', rootFile, rootFile]).ok).toBe(true)
  expect(openssl(['verify', '-x509_strict', '-CAfile', rootFile], issuing.pem)).toEqual({
    ok: true,
    output: 'stdin: OK\n',
  })
  expect(text(issuing.pem)).toContain(`Signature Algorithm: ${algorithm}`)
})

test('a root has exactly the extensions that SPIFFE requires', () => {
  const { root } = testCa(now)
  const extensions = text(root.pem).split('X509v3 extensions:')[1]?.split('Signature Algorithm')[0]
  expect(
    extensions
      ?.replaceAll(/[0-9A-F]{2}(:[0-9A-F]{2})+/g, 'hex')
      .replaceAll(/\s+/g, ' ')
      .trim(),
  ).toBe(
    'X509v3 Basic Constraints: critical CA:TRUE X509v3 Key Usage: critical Certificate Sign, CRL Sign ' +
      'X509v3 Subject Key Identifier: hex X509v3 Subject Alternative Name: URI:spiffe://example.org',
  )
})

test('an issuing CA signs only leaves, and names its issuer, its CRL and its trust domain', () => {
  const { root, issuing } = testCa(now)
  const output = text(issuing.pem)
  expect(output).toContain('CA:TRUE, pathlen:0')
  expect(output).toContain('URI:http://purser.test/crl/root')
  expect(output).toContain('URI:spiffe://example.org')
  expect(output).toMatch(/X509v3 Basic Constraints: critical[^]*X509v3 Key Usage: critical/)
  expect(output).not.toMatch(/Name Constraints|Extended Key Usage/)
  expect(issuing.certificate.issuer).toBe(root.certificate.subject)
  expect(issuing.keyId.equals(root.keyId)).toBe(false)
})

test('two CAs of one trust domain have different subjects', () => {
  const subjects = [testCa(now), testCa(now)].flatMap(({ root, issuing }) => [
    root.certificate.subject,
    issuing.certificate.subject,
  ])
  expect(new Set(subjects).size).toBe(4)
})

test('a trust domain of 255 bytes fits: the common name is cut at 64, the SAN is complete', () => {
  const trustDomain = `${'a'.repeat(251)}.org`
  const { root } = testCa(now, { trustDomain })
  expect(root.certificate.subject).toContain(`CN=${`Purser root CA ${trustDomain}`.slice(0, 64)}\n`)
  expect(root.certificate.subjectAltName).toBe(`URI:spiffe://${trustDomain}`)
})

test('an issuing CA never outlives its root', () => {
  const { root } = testCa(now)
  const parts = { trustDomain: 'example.org', root, publicKey: ecPair().publicKey, serial: newSerial() }
  const tooLate = { notBefore: now, notAfter: secondsFrom(root.notAfter, 1) }
  const tooEarly = { notBefore: secondsFrom(root.notBefore, -1), notAfter: root.notAfter }
  expect(() => createIssuingCertificate({ ...parts, ...tooLate })).toThrow(RangeError)
  expect(() => createIssuingCertificate({ ...parts, ...tooEarly })).toThrow(RangeError)
})

test('a root that ends after 2049 uses GeneralizedTime, and verifies', () => {
  const keys = ecPair()
  const notAfter = new Date('2051-02-03T04:05:06Z')
  const { pem } = createRootCertificate({
    trustDomain: 'example.org',
    keys,
    serial: newSerial(),
    notBefore: now,
    notAfter,
  })
  expect(opensslOutput(['x509', '-noout', '-enddate'], pem)).toBe('notAfter=Feb  3 04:05:06 2051 GMT\n')
  expect(createIssuer({ pem, privateKey: keys.privateKey }).notAfter).toEqual(notAfter)
})

describe('an issuer', () => {
  const { root } = testCa(now)

  test('is refused with the key of another CA', () => {
    expect(() => createIssuer({ pem: root.pem, privateKey: ecPair().privateKey })).toThrow(TypeError)
  })

  test('is refused without being a CA', () => {
    const { privateKey } = edPair()
    const key = scratch()('key.pem', privateKey.export({ type: 'pkcs8', format: 'pem' }))
    const leaf = ['-addext', 'basicConstraints=critical,CA:FALSE', '-subj', '/CN=leaf']
    const pem = opensslOutput(['req', '-x509', '-new', '-key', key, ...leaf])
    expect(new X509Certificate(pem).checkPrivateKey(privateKey)).toBe(true)
    expect(() => createIssuer({ pem, privateKey })).toThrow(TypeError)
  })

  test('is refused with a public key, or with an unsupported curve', () => {
    const keys = ecPair('secp256k1')
    const parts = { trustDomain: 'x', serial: newSerial(), notBefore: now, notAfter: secondsFrom(now, 60) }
    expect(() => createRootCertificate({ ...parts, keys })).toThrow(TypeError)
    const { publicKey } = ecPair()
    expect(() => createRootCertificate({ ...parts, keys: { publicKey, privateKey: publicKey } })).toThrow(TypeError)
  })
})

describe('a serial', () => {
  test('is positive and of full length, whatever the random bytes', () => {
    const firsts = Array.from({ length: 256 }, (_, first) => serialFrom(Buffer.alloc(16, first)))
    expect(Math.min(...firsts.map((serial) => serial[0]!))).toBe(0x01)
    expect(Math.max(...firsts.map((serial) => serial[0]!))).toBe(0x7f)
    firsts.forEach((serial, first) => expect(serial.subarray(1).equals(Buffer.alloc(15, first))).toBe(true))
  })

  test('is unique among 200,000, each positive and of 16 bytes, while other random bytes are drawn', () => {
    const draw = createRandomBytes()
    const serials = Array.from({ length: 200_000 }, (_, n) => {
      draw(n % 61)
      return serialFrom(draw(16))
    })
    // Checked only afterwards: a later one must not change the bytes of an earlier one.
    expect(new Set(serials.map((serial) => serial.length))).toEqual(new Set([16]))
    expect(new Set(serials.map((serial) => serial.toString('hex'))).size).toBe(serials.length)
    const firsts = new Set(serials.map((serial) => serial[0]!))
    expect([firsts.size, Math.min(...firsts), Math.max(...firsts)]).toEqual([127, 0x01, 0x7f])
    // Every byte is drawn: a constant one would be visible here.
    for (let at = 1; at < 16; at++) expect(new Set(serials.map((serial) => serial[at]!)).size).toBe(256)
  })

  test.each([0, 15, 17, 20])('is refused with %i bytes', (length) => {
    expect(() => serialFrom(Buffer.alloc(length, 1))).toThrow(RangeError)
  })

  test.each([Buffer.alloc(16), Buffer.alloc(16, 0x80), Buffer.alloc(15, 1)])('like %o is refused', (serial) => {
    const parts = { trustDomain: 'x', keys: ecPair(), notBefore: now, notAfter: secondsFrom(now, 60) }
    expect(() => createRootCertificate({ ...parts, serial })).toThrow(RangeError)
  })
})

test.each([
  ['EC', ecPair()],
  ['RSA', rsaPair()],
  ['Ed25519', edPair()],
])('the request to an upstream CA verifies and asks for a CA: %s', (_, keys) => {
  const { pem } = buildCaCsr({ trustDomain: 'example.org', keys })
  const verification = openssl(['req', '-verify', '-noout', '-text'], pem)
  expect(verification.ok).toBe(true)
  expect(verification.output).toContain('self-signature verify OK')
  expect(verification.output).toContain('CA:TRUE, pathlen:0')
  expect(verification.output).toContain('Certificate Sign, CRL Sign')
  expect(verification.output).toContain('URI:spiffe://example.org')
})
