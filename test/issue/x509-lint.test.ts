import { describe, expect, test } from 'vitest'
import { type LeafProfile, LintError, lintLeaf } from '../../src/issue/x509-lint.ts'
import { type Asn1, octetString, oid, sequence } from '../../src/keys/asn1.ts'
import { caName, emptyName, keyIdOf } from '../../src/keys/ca-certificates.ts'
import { type CertificateIssuer, type CertificateParts, buildCertificate } from '../../src/keys/certificate.ts'
import {
  type NameConstraints,
  authorityKeyIdentifier,
  basicConstraints,
  crlDistributionPoint,
  extendedKeyUsage,
  extension,
  keyUsage,
  subjectAltName,
  subjectKeyIdentifier,
} from '../../src/keys/extensions.ts'
import { ecPair, newSerial, secondsFrom, spkiOf, testCa } from '../support/test-ca.ts'

const now = new Date('2026-11-24T12:00:00Z')
const { issuing, root } = testCa(now)
const spki = spkiOf(ecPair().publicKey)
const otherSpki = spkiOf(ecPair().publicKey)

const profile: LeafProfile = {
  purpose: 'svid',
  trustDomain: 'example.org',
  spiffeId: 'spiffe://example.org/ns/prod/sa/web',
  dnsNames: ['web.prod.svc', 'web'],
  ipAddresses: [],
  spki,
  keyEncipherment: false,
  serial: newSerial(),
  notBefore: secondsFrom(now, -10),
  notAfter: secondsFrom(now, 3600),
  crlUrl: 'http://purser.test/crl/1',
}
const uri = profile.spiffeId
const dns = profile.dnsNames

const honest = {
  bc: basicConstraints(false),
  ku: keyUsage('digitalSignature'),
  eku: extendedKeyUsage('serverAuth', 'clientAuth'),
  san: subjectAltName({ uri, dns }, true),
  ski: subjectKeyIdentifier(keyIdOf(spki)),
  aki: issuing.authorityKeyIdentifier,
  crl: crlDistributionPoint('http://purser.test/crl/1'),
}

/** The certificate of the profile with one change, as the lint sees it. */
function lint(
  swapped: Partial<typeof honest> & { more?: Asn1[] },
  parts: Partial<CertificateParts> = {},
  changes: Partial<LeafProfile> = {},
  issuer: CertificateIssuer = issuing,
): void {
  const { more = [], ...extensions } = swapped
  const decided = { ...profile, ...changes }
  buildCertificate(
    {
      serial: decided.serial,
      issuerName: issuing.name,
      subjectName: emptyName(),
      notBefore: decided.notBefore,
      notAfter: decided.notAfter,
      spki,
      extensions: [...Object.values({ ...honest, ...extensions }), ...more],
      signer: { ...issuing.signer, sign: () => Buffer.alloc(0) },
      ...parts,
    },
    (tbs) => lintLeaf(tbs, decided, issuer),
  )
}

test.each<[string, NameConstraints, boolean]>([
  ['another trust domain', { uri: 'a.example.org', dns: ['prod.svc', 'web'] }, false],
  ['one DNS name of two', { uri: 'example.org', dns: ['prod.svc'] }, false],
  ['names that end alike', { uri: 'example.org', dns: ['od.svc', 'eb'] }, false],
  ['these names and those below', { uri: 'example.org', dns: ['prod.svc', 'web'] }, true],
])('an issuer that may sign for %s', (_, nameConstraints, passes) => {
  const attempt = expect(() => lint({}, {}, {}, { ...issuing, nameConstraints }))
  if (passes) attempt.not.toThrow()
  else attempt.toThrow(LintError)
})

test('the profile passes', () => {
  expect(() => lint({})).not.toThrow()
})

describe('refused before the signature: an extension that the profile lacks', () => {
  test.each<[string, Parameters<typeof lint>[0]]>([
    ['a CA', { bc: basicConstraints(true) }],
    ['a CA with a path length', { bc: basicConstraints(true, 0) }],
    ['keyCertSign', { ku: keyUsage('digitalSignature', 'keyCertSign') }],
    ['cRLSign', { ku: keyUsage('digitalSignature', 'cRLSign') }],
    ['keyEncipherment for a key that is not RSA', { ku: keyUsage('digitalSignature', 'keyEncipherment') }],
    ['no client purpose', { eku: extendedKeyUsage('serverAuth') }],
    ['the purposes turned', { eku: extendedKeyUsage('clientAuth', 'serverAuth') }],
    ['any purpose', { eku: extension('2.5.29.37', false, sequence([oid('2.5.29.37.0')])) }],
    ['another ID', { san: subjectAltName({ uri: `${uri}2`, dns }, true) }],
    ['a DNS name too many', { san: subjectAltName({ uri, dns: [...dns, 'admin'] }, true) }],
    ['a DNS name too few', { san: subjectAltName({ uri, dns: ['web'] }, true) }],
    ['an address', { san: subjectAltName({ uri, dns, ip: [Buffer.of(127, 0, 0, 1)] }, true) }],
    ['no ID', { san: subjectAltName({ dns }, true) }],
    ['a SAN that is not critical', { san: subjectAltName({ uri, dns }, false) }],
    ['two SANs', { more: [subjectAltName({ uri: 'spiffe://example.org/admin' }, true)] }],
    ['the identifier of another key', { ski: subjectKeyIdentifier(keyIdOf(otherSpki)) }],
    ['the identifier of another issuer', { aki: authorityKeyIdentifier(root.keyId) }],
    ['another CRL', { crl: crlDistributionPoint('http://evil.test/crl') }],
    ['something unknown', { more: [extension('1.2.3.4', false, octetString(Buffer.alloc(1)))] }],
    ['something unknown and critical', { more: [extension('1.2.3.4', true, octetString(Buffer.alloc(1)))] }],
  ])('%s', (_, swapped) => {
    expect(() => lint(swapped)).toThrow(LintError)
  })

  test('each missing in turn', () => {
    for (const name of Object.keys(honest)) {
      const extensions = Object.entries(honest).flatMap(([key, value]) => (key === name ? [] : [value]))
      expect(() => lint({}, { extensions }), name).toThrow(LintError)
    }
  })

  test('a CRL without a distribution point in the profile', () => {
    expect(() => lint({}, {}, { crlUrl: undefined })).toThrow(LintError)
  })
})

describe('refused before the signature: a field that differs from the profile', () => {
  test.each<[string, Partial<CertificateParts>]>([
    ['the key', { spki: otherSpki }],
    ['the serial', { serial: newSerial() }],
    ['the issuer', { issuerName: root.name }],
    ['a subject', { subjectName: caName('issuing', 'example.org', Buffer.alloc(20)) }],
    ['an earlier begin', { notBefore: secondsFrom(now, -3600) }],
    ['a later end', { notAfter: secondsFrom(now, 7200) }],
  ])('%s', (_, parts) => {
    expect(() => lint({}, parts)).toThrow(LintError)
  })
})

describe('refused before the signature: a profile that is not allowed', () => {
  const changed = (changes: Partial<LeafProfile>): void => {
    const { spiffeId, dnsNames, ipAddresses } = { ...profile, ...changes }
    lint({ san: subjectAltName({ uri: spiffeId, dns: dnsNames, ip: ipAddresses }, true) }, {}, changes)
  }

  test.each([
    'spiffe://other.org/web',
    'spiffe://example.org',
    'spiffe://example.org/',
    'spiffe://example.org.evil.org/web',
    'spiffe://example.orgweb/x',
    'SPIFFE://example.org/web',
    'spiffe://EXAMPLE.org/web',
    'spiffe://example.org/a//b',
    'spiffe://example.org/a/',
    'spiffe://example.org/a/../b',
    'spiffe://example.org/.',
    'spiffe://example.org/%61',
    'spiffe://example.org/a b',
    'spiffe://example.org/a\n',
    'spiffe://example.org/ä',
    'spiffe://example.org/a?b',
    'spiffe://example.org/a#b',
    'spiffe://example.org:8443/a',
    'spiffe://user@example.org/a',
    'https://example.org/web',
    `spiffe://example.org/${'a'.repeat(2048)}`,
    'spiffe://example.org/purser',
    'spiffe://example.org/purser/server',
    '',
  ])('the ID %j', (spiffeId) => {
    expect(() => changed({ spiffeId })).toThrow(LintError)
  })

  test('only IDs under /purser, not those that merely begin alike', () => {
    expect(() => changed({ spiffeId: 'spiffe://example.org/purser2/server' })).not.toThrow()
  })

  test.each([
    '',
    '*',
    '*.prod.svc',
    'Web',
    'a..b',
    '.a',
    'a.',
    '-a',
    'a-',
    'a b',
    'a\0b',
    'ä.test',
    'a/b',
    '1'.repeat(64),
    'a.'.repeat(127),
  ])('the DNS name %j', (name) => {
    expect(() => changed({ dnsNames: [name] })).toThrow(LintError)
  })

  test.each<[string, Partial<LeafProfile>]>([
    ['an address in an SVID', { ipAddresses: [Buffer.of(127, 0, 0, 1)] }],
    ['an end before the begin', { notAfter: secondsFrom(now, -11) }],
    ['an end at the begin', { notAfter: profile.notBefore }],
    ['an end after the CA', { notAfter: secondsFrom(issuing.notAfter, 1) }],
    ['a begin before the CA', { notBefore: secondsFrom(issuing.notBefore, -1) }],
    ['Purser’s own certificate for a workload', { purpose: 'server' }],
  ])('%s', (_, changes) => {
    expect(() => changed(changes)).toThrow(LintError)
  })
})
