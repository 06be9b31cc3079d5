import { type KeyObject, X509Certificate } from 'node:crypto'
import { contentOf, fromDerStrict } from './asn1-strict.ts'
import { type Asn1, bitString, context, integer, raw, sequence, tag, time, toDer } from './asn1.ts'
import { type NameConstraints, authorityKeyIdentifier, extensionOid } from './extensions.ts'
import { encodePem } from './pem.ts'
import { type Extension, findExtension, readCertificate } from './read-certificate.ts'
import { nameConstraintsOf } from './read-extensions.ts'
import { type Signer, createSigner } from './signer.ts'

export type CertificateParts = {
  /** 16 bytes, see `serialFrom`. */
  serial: Buffer
  issuerName: Asn1
  subjectName: Asn1
  notBefore: Date
  notAfter: Date
  /** The subject's key as SPKI DER; it goes in unparsed, so its checks are the caller's. */
  spki: Buffer
  extensions: Asn1[]
  signer: Signer
}

export type Certificate = { der: Buffer; pem: string }

/** A CA's certificate and key, with the parts of every certificate under it, built once. */
export type CertificateIssuer = {
  certificate: X509Certificate
  pem: string
  name: Asn1
  /** The CA's subject key identifier, and the extension that points to it. */
  keyId: Buffer
  authorityKeyIdentifier: Asn1
  notBefore: Date
  notAfter: Date
  /** Absent: it may sign for every name. */
  nameConstraints?: NameConstraints
  signer: Signer
}

const version3 = context(0, [integer(2)])

/** Signs a version 3 certificate (RFC 5280 section 4.1). `lint` sees the bytes before they are signed, and throws. */
export function buildCertificate(parts: CertificateParts, lint?: (tbs: Buffer) => void): Certificate {
  const { serial, signer } = parts
  if (serial.length !== 16 || !(serial[0]! >= 0x01 && serial[0]! <= 0x7f)) throw new RangeError('not a serial of ours')
  const tbs = toDer(
    sequence([
      version3,
      integer(serial),
      signer.algorithm,
      parts.issuerName,
      sequence([time(parts.notBefore), time(parts.notAfter)]),
      parts.subjectName,
      raw(parts.spki),
      context(3, [sequence(parts.extensions)]),
    ]),
  )
  lint?.(tbs)
  const der = toDer(sequence([raw(tbs), signer.algorithm, bitString(signer.sign(tbs))]))
  return { der, pem: encodePem('CERTIFICATE', der) }
}

/** A serial from 16 random bytes: the first becomes 01 to 7f, so that it is positive and always 16 bytes long. */
export function serialFrom(random: Buffer): Buffer {
  if (random.length !== 16) throw new RangeError('a serial takes 16 random bytes')
  const serial = Buffer.from(random)
  serial[0] = (serial[0]! % 127) + 1
  return serial
}

/** Throws when the key isn't the certificate's, or the certificate is no CA with a subject key identifier. */
export function createIssuer(ca: { pem: string; privateKey: KeyObject }): CertificateIssuer {
  const certificate = new X509Certificate(ca.pem)
  if (!certificate.ca || !certificate.checkPrivateKey(ca.privateKey)) {
    throw new TypeError('an issuer is a CA certificate with its own private key')
  }
  const fields = readCertificate(certificate.raw)
  const keyId = subjectKeyIdOf(fields.extensions)
  const nameConstraints = nameConstraintsOf(fields.extensions)
  return {
    certificate,
    pem: encodePem('CERTIFICATE', certificate.raw),
    name: raw(toDer(fields.subject)),
    keyId,
    authorityKeyIdentifier: authorityKeyIdentifier(keyId),
    notBefore: new Date(certificate.validFrom),
    notAfter: new Date(certificate.validTo),
    ...(nameConstraints && { nameConstraints }),
    signer: createSigner(ca.privateKey),
  }
}

function subjectKeyIdOf(extensions: Extension[]): Buffer {
  const extension = findExtension(extensions, extensionOid.subjectKeyIdentifier)
  if (!extension) throw new TypeError('a CA certificate names its key (RFC 5280 section 4.2.1.2)')
  return contentOf(fromDerStrict(extension.value), tag.octetString)
}
