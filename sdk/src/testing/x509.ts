/** Encodes certificates and CRLs as Purser does (RFC 5280; SPIFFE X509-SVID). */
import { type KeyObject, createPublicKey, hash, randomBytes, sign } from 'node:crypto'
import { bitString, oid, sequence, tlv } from '../certificates/der-write.ts'

/** An issuer: its name (DER), and its EC P-256 key with the key's identifier. */
export type Signer = { name: Buffer; keyId: Buffer; key: KeyObject }

type CertificateParts = {
  signer: Signer
  subject: Buffer
  serial: Buffer
  notBefore: Date
  notAfter: Date
  spki: Buffer
  extensions: readonly Buffer[]
}

type Revoked = { serialNumber: string; at: Date; reason?: keyof typeof reasons | undefined }

const ascii = (text: string): Buffer => Buffer.from(text, 'ascii')
const bytes = (...values: number[]): Buffer => Buffer.from(values)
/** UTCTime until 2049, then GeneralizedTime (section 4.1.2.5). */
function time(at: Date): Buffer {
  const text = at.toISOString().replace(/[-:T]|\.\d+/g, '')
  return at.getUTCFullYear() < 2050 ? tlv(0x17, ascii(text.slice(2))) : tlv(0x18, ascii(text))
}

/** A non-negative INTEGER in its shortest form. */
function integer(value: Buffer): Buffer {
  const start = value.findIndex((byte) => byte !== 0)
  const digits = start === -1 ? bytes(0) : value.subarray(start)
  return tlv(0x02, (digits[0] ?? 0) < 0x80 ? digits : Buffer.concat([bytes(0), digits]))
}

const number = (value: bigint): Buffer => integer(Buffer.from(value.toString(16).padStart(16, '0'), 'hex'))

/** 16 random bytes. The first is 01 to 7f, so that the number is positive and has a fixed length. */
export function newSerial(): Buffer {
  const serial = randomBytes(16)
  serial[0] = ((serial[0] ?? 0) % 127) + 1
  return serial
}

export const spkiOf = (key: KeyObject): Buffer =>
  (key.type === 'private' ? createPublicKey(key) : key).export({ type: 'spki', format: 'der' })
/** The key identifier of RFC 7093 section 2, method 1. */
export const keyIdOf = (spki: Buffer): Buffer => hash('sha256', spki, 'buffer').subarray(0, 20)

export const emptyName = sequence()

/** Common name, and the start of the key's identifier as X.520 serialNumber, so that each key has its own name. */
export function caName(role: 'root' | 'issuing', trustDomain: string, keyId: Buffer): Buffer {
  const words = `Purser test ${role} CA ${trustDomain}`.slice(0, 64)
  const attribute = (type: string, value: Buffer): Buffer => tlv(0x31, sequence(oid(type), value))
  return sequence(
    attribute('550403', tlv(0x0c, ascii(words))),
    attribute('550405', tlv(0x13, ascii(keyId.toString('hex', 0, 8)))),
  )
}

function extension(id: string, critical: boolean, value: Buffer): Buffer {
  return sequence(oid(id), ...(critical ? [tlv(0x01, bytes(0xff))] : []), tlv(0x04, value))
}

const authorityKeyIdentifier = (keyId: Buffer): Buffer => extension('551d23', false, sequence(tlv(0x80, keyId)))
const subjectKeyIdentifier = (spki: Buffer): Buffer => extension('551d0e', false, tlv(0x04, keyIdOf(spki)))
const crlPoint = (url: string): Buffer =>
  extension('551d1f', false, sequence(sequence(tlv(0xa0, tlv(0xa0, tlv(0x86, ascii(url)))))))
/** The number of unused bits, then the bits; digitalSignature is the first (section 4.2.1.3). */
const keyUsage = (unused: number, bits: number): Buffer => extension('551d0f', true, tlv(0x03, bytes(unused, bits)))

/** The extensions of an X.509-SVID: digitalSignature (RSA also keyEncipherment), for servers and clients. */
export const leafExtensions = (leaf: {
  spki: Buffer
  rsa: boolean
  spiffeId: string
  dnsNames: readonly string[]
  issuerKeyId: Buffer
  crlUrl: string
}): Buffer[] => [
  extension('551d13', true, sequence()),
  leaf.rsa ? keyUsage(5, 0xa0) : keyUsage(7, 0x80),
  extension('551d25', false, sequence(oid('2b06010505070301'), oid('2b06010505070302'))),
  // Critical, since the subject is empty (section 4.2.1.6).
  extension('551d11', true, sequence(tlv(0x86, ascii(leaf.spiffeId)), ...leaf.dnsNames.map(dnsName))),
  subjectKeyIdentifier(leaf.spki),
  authorityKeyIdentifier(leaf.issuerKeyId),
  crlPoint(leaf.crlUrl),
]
const dnsName = (name: string): Buffer => tlv(0x82, ascii(name))

/** The extensions of a CA: keyCertSign and cRLSign. An issuing CA has path length 0 and names its root and the root's CRL. */
export const caExtensions = (
  trustDomain: string,
  spki: Buffer,
  above?: { keyId: Buffer; crlUrl: string },
): Buffer[] => [
  extension('551d13', true, sequence(tlv(0x01, bytes(0xff)), ...(above ? [tlv(0x02, bytes(0))] : []))),
  keyUsage(1, 0x06),
  subjectKeyIdentifier(spki),
  extension('551d11', false, sequence(tlv(0x86, ascii(`spiffe://${trustDomain}`)))),
  ...(above ? [authorityKeyIdentifier(above.keyId), crlPoint(above.crlUrl)] : []),
]

/** ecdsa-with-SHA256 (RFC 5758). */
const algorithm = sequence(oid('2a8648ce3d040302'))
const signed = (key: KeyObject, tbs: Buffer): Buffer => sequence(tbs, algorithm, bitString(sign('sha256', tbs, key)))

/** A certificate of version 3. Times have whole seconds. */
export function signCertificate(parts: CertificateParts): Buffer {
  const { signer, subject, serial, notBefore, notAfter, spki, extensions } = parts
  const tbs = sequence(
    tlv(0xa0, number(2n)),
    integer(serial),
    algorithm,
    signer.name,
    sequence(time(notBefore), time(notAfter)),
    subject,
    spki,
    tlv(0xa3, sequence(...extensions)),
  )
  return signed(signer.key, tbs)
}

/** CRLReason, section 5.3.1. */
const reasons = { keyCompromise: 1, cACompromise: 2 } as const

/** A complete CRL of version 2. @param parts.number grows with each CRL */
export function signCrl(parts: {
  signer: Signer
  number: bigint
  thisUpdate: Date
  nextUpdate: Date
  revoked: readonly Revoked[]
}): Buffer {
  const { signer, revoked } = parts
  const tbs = sequence(
    number(1n),
    algorithm,
    signer.name,
    time(parts.thisUpdate),
    time(parts.nextUpdate),
    // The list is absent instead of empty (section 5.1.2.6).
    ...(revoked.length === 0 ? [] : [sequence(...revoked.map(crlEntry))]),
    tlv(0xa0, sequence(authorityKeyIdentifier(signer.keyId), extension('551d14', false, number(parts.number)))),
  )
  return signed(signer.key, tbs)
}

const crlEntry = ({ serialNumber, at, reason }: Revoked): Buffer =>
  sequence(
    integer(Buffer.from(serialNumber, 'hex')),
    time(at),
    ...(reason ? [sequence(extension('551d15', false, tlv(0x0a, bytes(reasons[reason]))))] : []),
  )
