import { X509Certificate, createHash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { createCsr } from '../../sdk/src/certificates/csr.ts'
import { buildCrl } from '../../src/issue/crl.ts'
import { readCsr } from '../../src/issue/csr.ts'
import { LintError, type X509SvidRequest, createX509Issuer } from '../../src/issue/x509-svid.ts'
import { emptyName } from '../../src/keys/ca-certificates.ts'
import { buildCertificate } from '../../src/keys/certificate.ts'
import { createSigner } from '../../src/keys/signer.ts'
import { openssl, opensslOutput, scratch } from '../support/openssl.ts'
import { type TestCa, ecPair, edPair, newSerial, rsaPair, secondsFrom, spkiOf, testCa } from '../support/test-ca.ts'

const now = new Date()
const ca = testCa(now)
const crlUrl = 'http://purser.test/crl/issuing'
const issuerOf = ({ trustDomain, issuing }: TestCa) =>
  createX509Issuer({ trustDomain, issuer: issuing, crlUrl, count: () => 0 })
const issuer = issuerOf(ca)

const request = (more: Partial<X509SvidRequest> = {}): X509SvidRequest => ({
  key: readCsr(createCsr(ecPair().privateKey)),
  serial: newSerial(),
  now,
  notAfter: secondsFrom(now, 3600),
  spiffeId: 'spiffe://example.org/ns/prod/sa/web',
  dnsNames: ['web.prod.svc', 'web'],
  ...more,
})

const text = (pem: string): string => opensslOutput(['x509', '-noout', '-text'], pem)

/** `openssl verify` with strictness and CRLs over leaf, issuing CA and root. */
function verify(leaf: string, revoked: Buffer[] = [], { root, issuing }: TestCa = ca) {
  const file = scratch()
  const times = { number: 1n, thisUpdate: secondsFrom(now, -60), nextUpdate: secondsFrom(now, 600) }
  const list = revoked.map((serial) => ({ serial, at: times.thisUpdate }))
  const crls = [
    buildCrl({ issuer: issuing, ...times, revoked: list }),
    buildCrl({ issuer: root, ...times, revoked: [] }),
  ]
  const files = ['-CAfile', file('root.pem', root.pem), '-untrusted', file('issuing.pem', issuing.pem)]
  const crlFile = ['-CRLfile', file('crls.pem', crls.map(({ pem }) => pem).join(''))]
  return openssl(['verify', '-x509_strict', '-crl_check_all', ...files, ...crlFile], leaf)
}

test.each([
  ['EC P-256', ecPair(), 'Digital Signature'],
  ['EC P-384', ecPair('P-384'), 'Digital Signature'],
  ['Ed25519', edPair(), 'Digital Signature'],
  ['RSA', rsaPair(), 'Digital Signature, Key Encipherment'],
])('openssl verifies the SVID of an %s key strictly, and reads the profile', (_, keys, usage) => {
  const { pem } = issuer.issueSvid(request({ key: readCsr(createCsr(keys.privateKey)) }))
  expect(verify(pem)).toEqual({ ok: true, output: 'stdin: OK\n' })
  const [, extensions = ''] = text(pem).split('X509v3 extensions:')
  const shownText = extensions.split('Signature Algorithm')[0]?.replaceAll(/[0-9A-F]{2}(:[0-9A-F]{2}){19}/g, 'keyid')
  expect(shownText?.replaceAll(/\s+/g, ' ').trim()).toBe(
    'X509v3 Basic Constraints: critical CA:FALSE ' +
      `X509v3 Key Usage: critical ${usage} ` +
      'X509v3 Extended Key Usage: TLS Web Server Authentication, TLS Web Client Authentication ' +
      'X509v3 Subject Alternative Name: critical ' +
      'URI:spiffe://example.org/ns/prod/sa/web, DNS:web.prod.svc, DNS:web ' +
      'X509v3 Subject Key Identifier: keyid X509v3 Authority Key Identifier: keyid ' +
      `X509v3 CRL Distribution Points: Full Name: URI:${crlUrl}`,
  )
  expect(text(pem)).toMatch(/Subject:\s*\n/)
})

test.each([
  ['EC P-384', ecPair('P-384')],
  ['RSA', rsaPair()],
  ['Ed25519', edPair()],
])('under an issuing CA with a key of %s', (_, issuingKeys) => {
  const other = testCa(now, { issuingKeys })
  expect(verify(issuerOf(other).issueSvid(request()).pem, [], other).ok).toBe(true)
})

test('the reply names the fields of the log entry', () => {
  const svidRequest = request()
  const issued = issuer.issueSvid(svidRequest)
  const parsed = new X509Certificate(issued.pem)
  expect(parsed.raw.equals(issued.der)).toBe(true)
  expect(issued.serialNumber).toBe(svidRequest.serial.toString('hex'))
  expect(issued.serialNumber).toBe(parsed.serialNumber.toLowerCase())
  expect(issued.sha256).toBe(parsed.fingerprint256.replaceAll(':', '').toLowerCase())
  expect(issued.notAfter).toEqual(new Date(parsed.validTo))
  expect(issued.notBefore).toEqual(new Date(parsed.validFrom))
  const keyId = createHash('sha256').update(svidRequest.key.spki).digest('hex').slice(0, 40)
  expect(text(issued.pem).replaceAll(':', '').toLowerCase()).toContain(keyId)
})

test('a revoked serial is refused with the CRL, another is not', () => {
  const leaf = request()
  const { pem } = issuer.issueSvid(leaf)
  expect(verify(pem, [newSerial()]).ok).toBe(true)
  expect(verify(pem, [newSerial(), leaf.serial])).toMatchObject({
    ok: false,
    output: expect.stringContaining('revoked'),
  })
})

describe('times', () => {
  const at = new Date('2026-11-24T12:00:00.900Z')
  const earlyCa = testCa(at)
  const issue = (notAfter: Date, signedAt = at) => issuerOf(earlyCa).issueSvid(request({ now: signedAt, notAfter }))

  test('begin ten seconds ago, and end with the last permitted second', () => {
    const { notBefore, notAfter } = issue(new Date('2026-11-24T13:00:00.999Z'))
    expect(notBefore).toEqual(new Date('2026-11-24T11:59:50Z'))
    expect(notAfter).toEqual(new Date('2026-11-24T13:00:00Z'))
  })

  test('never begin before the issuing CA', () => {
    const { notBefore } = issue(secondsFrom(at, 60), secondsFrom(earlyCa.issuing.notBefore, 3))
    expect(notBefore).toEqual(earlyCa.issuing.notBefore)
  })

  test('never end after the issuing CA, and never at or before now', () => {
    expect(issue(earlyCa.issuing.notAfter).notAfter).toEqual(earlyCa.issuing.notAfter)
    for (const end of [secondsFrom(earlyCa.issuing.notAfter, 1), at, secondsFrom(at, -1), secondsFrom(at, 0.05)]) {
      expect(() => issue(end)).toThrow(LintError)
    }
  })
})

test('of a request, only the key gets into the certificate', () => {
  const key = scratch()('key.pem', opensslOutput(['genpkey', '-algorithm', 'ED25519']))
  const wishes = [
    'basicConstraints=critical,CA:TRUE,pathlen:3',
    'keyUsage=critical,keyCertSign,cRLSign',
    'extendedKeyUsage=anyExtendedKeyUsage,codeSigning,OCSPSigning',
    'subjectAltName=URI:spiffe://example.org/admin,URI:spiffe://evil.org/x,DNS:evil.test,IP:10.0.0.1,email:a@evil.test',
    'nameConstraints=permitted;DNS:evil.test',
  ]
  const subject = ['-subj', '/O=evil/CN=evil-admin']
  const csr = opensslOutput([
    'req',
    '-new',
    '-key',
    key,
    ...subject,
    ...wishes.flatMap((extension) => ['-addext', extension]),
  ])
  expect(openssl(['req', '-noout', '-text'], csr).output).toContain('evil')
  const { pem } = issuer.issueSvid(request({ key: readCsr(csr), dnsNames: [] }))
  expect(text(pem)).not.toMatch(
    /evil|admin|CA:TRUE|Certificate Sign|Code Signing|OCSP|Any Extended|IP Address|Constraints: \n/,
  )
  expect(new X509Certificate(pem).subjectAltName).toBe('URI:spiffe://example.org/ns/prod/sa/web')
})

test.each<[string, Partial<X509SvidRequest>]>([
  ['an ID of Purser itself', { spiffeId: 'spiffe://example.org/purser/server' }],
  ['an ID of another trust domain', { spiffeId: 'spiffe://other.org/web' }],
  ['a wildcard', { dnsNames: ['*.prod.svc'] }],
  ['a DNS name in other letters', { dnsNames: ['wéb'] }],
  ['a serial that is too short', { serial: Buffer.alloc(15, 1) }],
])('%s is not signed', (_, change) => {
  expect(() => issuer.issueSvid(request(change))).toThrow()
})

test('a leaf cannot be an issuer: verifiers refuse what it signs', () => {
  const keys = ecPair()
  const middle = issuer.issueSvid(request({ key: readCsr(createCsr(keys.privateKey)) }))
  const forged = buildCertificate({
    serial: newSerial(),
    issuerName: emptyName(),
    subjectName: emptyName(),
    notBefore: now,
    notAfter: secondsFrom(now, 60),
    spki: spkiOf(ecPair().publicKey),
    extensions: [],
    signer: createSigner(keys.privateKey),
  })
  const file = scratch()
  const between = file('between.pem', middle.pem + ca.issuing.pem)
  const files = ['-CAfile', file('root.pem', ca.root.pem), '-untrusted', between]
  expect(openssl(['verify', ...files], middle.pem).ok).toBe(true)
  expect(openssl(['verify', ...files], forged.pem).ok).toBe(false)
})

test('each 256th certificate is read back by OpenSSL, and an invalid signature stops issuance', () => {
  const broken = {
    ...ca.issuing,
    signer: { ...ca.issuing.signer, sign: () => createSigner(ecPair().privateKey).sign(Buffer.alloc(1)) },
  }
  let count = 0
  const counted = createX509Issuer({ trustDomain: 'example.org', issuer: broken, count: () => count })
  for (count of [1, 255, 257]) expect(counted.issueSvid(request())).toBeDefined()
  for (count of [0, 256, 512]) expect(() => counted.issueSvid(request())).toThrow(LintError)
})
