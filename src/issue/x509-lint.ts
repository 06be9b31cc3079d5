import { toDer } from '../keys/asn1.ts'
import { keyIdOf } from '../keys/ca-certificates.ts'
import type { CertificateIssuer } from '../keys/certificate.ts'

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

type LintIssuer = Pick<CertificateIssuer, 'name' | 'keyId' | 'notBefore' | 'notAfter' | 'signer' | 'nameConstraints'>

/**
 * The last look before a signature: what the profile must look like is written here a second time, by hand and on purpose
 * not by the encoder, and the bytes must be those and no others, so that no fault between decision and encoding, or in
 * the encoder, becomes a certificate (RFC 5280 section 4.1; SPIFFE X509-SVID sections 2 to 4). Throws LintError.
 */
export function lintLeaf(tbs: Buffer, profile: LeafProfile, issuer: LintIssuer): void {
  const { serial, notBefore, notAfter } = profile
  must(serial.length === 16 && serial[0]! >= 0x01 && serial[0]! <= 0x7f, 'a serial of ours')
  must(notBefore < notAfter && notBefore >= issuer.notBefore && notAfter <= issuer.notAfter, 'inside the issuer’s time')
  lintNames(profile)
  lintConstraints(profile, issuer)
  const by = issuerParts(issuer)
  const members = [
    ['version 3', version3],
    ['the serial', tlv(0x02, text(serial))],
    ['the algorithm of the issuer', by.algorithm],
    ['the name of the issuer', by.name],
    ['the validity', tlv(0x30, time(notBefore) + time(notAfter))],
    ['an empty subject', emptyName],
    ['the key of the request', text(profile.spki)],
    ['the extensions of the profile', tlv(0xa3, tlv(0x30, extensions(profile, by.keyId)))],
  ] as const
  const actual = text(tbs)
  const expected = tlv(0x30, members.map(([, bytes]) => bytes).join(''))
  if (actual === expected) return
  let at = actual.length - (expected.length - headLength(expected))
  for (const [what, bytes] of members) {
    must(actual.startsWith(bytes, at), what)
    at += bytes.length
  }
  must(false, 'the bytes of the profile')
}

/** DER in strings of one character a byte, which are joined and compared faster than buffers. */
const text = (bytes: Buffer): string => bytes.toString('latin1')
const hex = (digits: string): string => text(Buffer.from(digits, 'hex'))
const version3 = hex('a003020102')
const emptyName = hex('3000')

function tlv(tagByte: number, content: string): string {
  const { length } = content
  if (length < 0x80) return String.fromCharCode(tagByte, length) + content
  if (length < 0x100) return String.fromCharCode(tagByte, 0x81, length) + content
  return String.fromCharCode(tagByte, 0x82, length >> 8, length & 0xff) + content
}
const headLength = (der: string): number => 2 + Math.max(0, der.charCodeAt(1) - 0x80)

function must(holds: boolean, what: string): void {
  if (!holds) throw new LintError(`refused to sign: not ${what}`)
}

type IssuerParts = { algorithm: string; name: string; keyId: string }
const cachedParts = new WeakMap<LintIssuer, IssuerParts>()

function issuerParts(issuer: LintIssuer): IssuerParts {
  let parts = cachedParts.get(issuer)
  if (!parts) {
    const { signer, name, keyId } = issuer
    parts = { algorithm: text(toDer(signer.algorithm)), name: text(toDer(name)), keyId: text(keyId) }
    cachedParts.set(issuer, parts)
  }
  return parts
}

/** UTCTime through 2049, GeneralizedTime from 2050 (RFC 5280 section 4.1.2.5). */
function time(at: Date): string {
  const iso = at.toISOString()
  const digits = `${iso.slice(5, 7)}${iso.slice(8, 10)}${iso.slice(11, 13)}${iso.slice(14, 16)}${iso.slice(17, 19)}Z`
  return at.getUTCFullYear() < 2050 ? tlv(0x17, iso.slice(2, 4) + digits) : tlv(0x18, iso.slice(0, 4) + digits)
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

/** RFC 5280 section 4.2.1.10: a verifier refuses every other name. */
function lintConstraints({ trustDomain, dnsNames }: LeafProfile, { nameConstraints }: LintIssuer): void {
  if (!nameConstraints) return
  must(nameConstraints.uri === trustDomain, 'a trust domain that the issuer may sign for')
  must(
    dnsNames.every((name) => nameConstraints.dns.some((suffix) => `.${name}`.endsWith(`.${suffix}`))),
    'DNS names that the issuer may sign for',
  )
}

/** Extensions without a variable part, and the head of the others up to their value. */
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

function extensions(profile: LeafProfile, issuerKeyId: string): string {
  const { purpose, keyEncipherment, crlUrl } = profile
  return (
    fixed.notCa +
    (keyEncipherment ? fixed.digitalSignatureAndKeyEncipherment : fixed.digitalSignature) +
    (purpose === 'svid' ? fixed.serverAuthAndClientAuth : fixed.serverAuth) +
    withValue(fixed.criticalSubjectAltName, alternativeNames(profile)) +
    withValue(fixed.subjectKeyIdentifier, tlv(0x04, text(keyIdOf(profile.spki)))) +
    withValue(fixed.authorityKeyIdentifier, tlv(0x30, tlv(0x80, issuerKeyId))) +
    (crlUrl === undefined ? '' : withValue(fixed.crlDistributionPoints, crlPoint(crlUrl)))
  )
}

const withValue = (head: string, value: string): string => tlv(0x30, head + tlv(0x04, value))

function alternativeNames({ spiffeId, dnsNames, ipAddresses }: LeafProfile): string {
  let names = tlv(0x86, spiffeId)
  for (const name of dnsNames) names += tlv(0x82, name)
  for (const address of ipAddresses) names += tlv(0x87, text(address))
  return tlv(0x30, names)
}

const crlPoint = (url: string): string => tlv(0x30, tlv(0x30, tlv(0xa0, tlv(0xa0, tlv(0x86, url)))))
