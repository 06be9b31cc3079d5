import { childrenOf, contentOf, fromDerStrict } from '../keys/asn1-strict.ts'
import { type Asn1, tag, time, toDer } from '../keys/asn1.ts'
import type { CertificateIssuer } from '../keys/certificate.ts'
import { keyIdOf } from '../keys/ca-names.ts'

/** What was about to be signed is not the certificate that was decided. Always a fault of ours. */
export class LintError extends Error {
  /** Our own words: a log may show them. */
  readonly safeToLog = true
  override readonly name = 'LintError'
}

/** The decision that a leaf must express, no more and no less. */
export type LeafProfile = {
  /** SVIDs are for clients and servers; Purser's own certificate is for a server only. */
  purpose: 'svid' | 'server'
  trustDomain: string
  spiffeId: string
  dnsNames: readonly string[]
  ipAddresses: readonly Buffer[]
  spki: Buffer
  /** RSA alone: TLS up to 1.2 may encrypt to such a key. */
  keyEncipherment: boolean
  serial: Buffer
  notBefore: Date
  notAfter: Date
  crlUrl: string | undefined
}

type LintIssuer = Pick<CertificateIssuer, 'name' | 'keyId' | 'notBefore' | 'notAfter' | 'signer'>

/**
 * The last look before a signature: the bytes are parsed again and held against the profile, so that no fault between
 * decision and encoding, or in the encoder, becomes a certificate (SPIFFE X509-SVID sections 2 to 4). Throws LintError.
 */
export function lintLeaf(tbs: Buffer, profile: LeafProfile, issuer: LintIssuer): void {
  const [version, serial, algorithm, issuerName, validity, subject, spki, extensions, ...more] = childrenOf(
    fromDerStrict(tbs),
    tag.sequence,
  )
  must(more.length === 0 && der(version).equals(version3), 'version 3')
  must(isSerial(profile.serial) && contentOf(serial, tag.integer).equals(profile.serial), 'a serial of ours')
  must(der(algorithm).equals(toDer(issuer.signer.algorithm)), 'the algorithm of the issuer')
  must(der(issuerName).equals(toDer(issuer.name)), 'the name of the issuer')
  must(der(subject).equals(emptyName), 'an empty subject')
  must(der(spki).equals(profile.spki), 'the key of the request')
  lintValidity(der(validity), profile, issuer)
  lintNames(profile)
  lintExtensions(childrenOf(childrenOf(extensions, 3, 0x80)[0], tag.sequence), profile, issuer)
}

const hex = (digits: string): Buffer => Buffer.from(digits, 'hex')
const version3 = hex('a003020102')
const emptyName = hex('3000')

/** DER by hand, on purpose not by the encoder that made what is looked at. */
function tlv(tagByte: number, ...contents: Buffer[]): Buffer {
  const length = contents.reduce((sum, part) => sum + part.length, 0)
  const head = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff]
  return Buffer.concat([Buffer.from([tagByte, ...head]), ...contents])
}

function must(holds: boolean, what: string): void {
  if (!holds) throw new LintError(`refused to sign: not ${what}`)
}

const der = (node: Asn1 | undefined): Buffer => (node ? toDer(node) : Buffer.alloc(0))
const isSerial = (serial: Buffer): boolean => serial.length === 16 && serial[0]! >= 0x01 && serial[0]! <= 0x7f

function lintValidity(validity: Buffer, { notBefore, notAfter }: LeafProfile, issuer: LintIssuer): void {
  must(validity.equals(tlv(0x30, toDer(time(notBefore)), toDer(time(notAfter)))), 'the validity')
  must(notBefore < notAfter && notBefore >= issuer.notBefore && notAfter <= issuer.notAfter, 'inside the issuer’s time')
}

/** The wire format of what a grant named; matching it to the grant was authorization's part. */
const idPath = /^(?:\/(?!\.{1,2}(?:\/|$))[A-Za-z0-9._-]+)+$/
const dnsName = /^(?=.{1,253}$)[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)*$/

function lintNames({ purpose, trustDomain, spiffeId, dnsNames, ipAddresses }: LeafProfile): void {
  const domain = `spiffe://${trustDomain}`
  const path = spiffeId.slice(domain.length)
  must(spiffeId.startsWith(domain) && idPath.test(path) && spiffeId.length <= 2048, 'an ID of this trust domain')
  must((path === '/purser' || path.startsWith('/purser/')) === (purpose === 'server'), 'an ID outside of /purser')
  must(
    dnsNames.every((name) => dnsName.test(name)),
    'DNS names',
  )
  must(ipAddresses.length === 0 || purpose === 'server', 'without addresses')
}

/** Extensions without a variable part, as the bytes that they must be: a second source beside the encoder. */
const fixed = {
  notCa: hex('300c0603551d130101ff04023000'),
  digitalSignature: hex('300e0603551d0f0101ff040403020780'),
  digitalSignatureAndKeyEncipherment: hex('300e0603551d0f0101ff0404030205a0'),
  serverAuth: hex('30130603551d25040c300a06082b06010505070301'),
  serverAuthAndClientAuth: hex('301d0603551d250416301406082b0601050507030106082b06010505070302'),
  subjectKeyIdentifier: hex('0603551d0e'),
  criticalSubjectAltName: hex('0603551d110101ff'),
  authorityKeyIdentifier: hex('0603551d23'),
  crlDistributionPoints: hex('0603551d1f'),
}

function lintExtensions(extensions: Asn1[], profile: LeafProfile, issuer: LintIssuer): void {
  const { purpose, keyEncipherment, crlUrl } = profile
  const expected = [
    fixed.notCa,
    keyEncipherment ? fixed.digitalSignatureAndKeyEncipherment : fixed.digitalSignature,
    purpose === 'svid' ? fixed.serverAuthAndClientAuth : fixed.serverAuth,
    withValue(fixed.criticalSubjectAltName, alternativeNames(profile)),
    withValue(fixed.subjectKeyIdentifier, tlv(0x04, keyIdOf(profile.spki))),
    withValue(fixed.authorityKeyIdentifier, tlv(0x30, tlv(0x80, issuer.keyId))),
    ...(crlUrl === undefined ? [] : [withValue(fixed.crlDistributionPoints, crlPoint(crlUrl))]),
  ]
  must(extensions.length === expected.length, 'the extensions of the profile')
  expected.forEach((bytes, i) => must(der(extensions[i]).equals(bytes), `extension ${i} of the profile`))
}

const withValue = (head: Buffer, value: Buffer): Buffer => tlv(0x30, head, tlv(0x04, value))

const alternativeNames = ({ spiffeId, dnsNames, ipAddresses }: LeafProfile): Buffer =>
  tlv(
    0x30,
    tlv(0x86, Buffer.from(spiffeId, 'ascii')),
    ...dnsNames.map((name) => tlv(0x82, Buffer.from(name, 'ascii'))),
    ...ipAddresses.map((address) => tlv(0x87, address)),
  )

const crlPoint = (url: string): Buffer =>
  tlv(0x30, tlv(0x30, tlv(0xa0, tlv(0xa0, tlv(0x86, Buffer.from(url, 'ascii'))))))
