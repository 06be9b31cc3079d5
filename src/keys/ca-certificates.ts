import { type KeyObject, hash } from 'node:crypto'
import { type Asn1, bitString, context, integer, oid, printable, raw, sequence, set, toDer, utf8 } from './asn1.ts'
import { type Certificate, type CertificateIssuer, buildCertificate } from './certificate.ts'
import {
  type NameConstraints,
  basicConstraints,
  crlDistributionPoint,
  keyUsage,
  nameConstraints,
  subjectAltName,
  subjectKeyIdentifier,
} from './extensions.ts'
import { encodePem } from './pem.ts'
import { createSigner } from './signer.ts'

export type CaKeys = { privateKey: KeyObject; publicKey: KeyObject }

type Validity = { serial: Buffer; notBefore: Date; notAfter: Date }

const spkiOf = (key: KeyObject): Buffer => key.export({ type: 'spki', format: 'der' })

/** What a CA is named, and where the configuration sets it, which names it may sign for. */
type CaNames = { trustDomain: string; nameConstraints?: NameConstraints | undefined }

/**
 * What every CA of ours says (SPIFFE X509-SVID section 2.2): a CA, for certificates and CRLs, its SAN the trust domain
 * without a path. No EKU, which verifiers read differently on a CA.
 */
const caExtensions = (names: CaNames, keyId: Buffer, pathLength?: number): Asn1[] => [
  basicConstraints(true, pathLength),
  keyUsage('keyCertSign', 'cRLSign'),
  subjectKeyIdentifier(keyId),
  subjectAltName({ uri: `spiffe://${names.trustDomain}` }, false),
  ...(names.nameConstraints ? [nameConstraints(names.nameConstraints)] : []),
]

/** A self-signed root. */
export function createRootCertificate(parts: CaNames & { keys: CaKeys } & Validity): Certificate {
  const spki = spkiOf(parts.keys.publicKey)
  const name = caName('root', parts.trustDomain, keyIdOf(spki))
  return buildCertificate({
    ...parts,
    issuerName: name,
    subjectName: name,
    spki,
    extensions: caExtensions(parts, keyIdOf(spki)),
    signer: createSigner(parts.keys.privateKey),
  })
}

/**
 * An issuing CA under the root: leaves only (`pathLen 0`), and never valid outside the root's own time. The root's name
 * constraints take precedence over other ones, since they hold for its chains anyway.
 */
export function createIssuingCertificate(
  parts: CaNames & { root: CertificateIssuer; publicKey: KeyObject; crlUrl?: string } & Validity,
): Certificate {
  const { trustDomain, root, crlUrl } = parts
  const names = { trustDomain, nameConstraints: root.nameConstraints ?? parts.nameConstraints }
  if (parts.notBefore < root.notBefore || parts.notAfter > root.notAfter) {
    throw new RangeError('an issuing CA cannot outlive its root')
  }
  const spki = spkiOf(parts.publicKey)
  const keyId = keyIdOf(spki)
  return buildCertificate({
    ...parts,
    issuerName: root.name,
    subjectName: caName('issuing', trustDomain, keyId),
    spki,
    extensions: [
      ...caExtensions(names, keyId, 0),
      root.authorityKeyIdentifier,
      ...(crlUrl === undefined ? [] : [crlDistributionPoint(crlUrl)]),
    ],
    signer: root.signer,
  })
}

const extensionRequest = '1.2.840.113549.1.9.14'

/** A PKCS#10 request (RFC 2986) for an upstream CA to sign our issuing CA, with the extensions that it should have. */
export function buildCaCsr(parts: CaNames & { keys: CaKeys }): { der: Buffer; pem: string } {
  const spki = spkiOf(parts.keys.publicKey)
  const keyId = keyIdOf(spki)
  const signer = createSigner(parts.keys.privateKey)
  const extensions = sequence(caExtensions(parts, keyId, 0))
  const info = toDer(
    sequence([
      integer(0),
      caName('issuing', parts.trustDomain, keyId),
      raw(spki),
      context(0, [sequence([oid(extensionRequest), set([extensions])])]),
    ]),
  )
  const der = toDer(sequence([raw(info), signer.algorithm, bitString(signer.sign(info))]))
  return { der, pem: encodePem('CERTIFICATE REQUEST', der) }
}

const attribute = (type: string, value: Asn1): Asn1 => set([sequence([oid(type), value])])

/** The empty subject of an SVID. */
export const emptyName = (): Asn1 => sequence([])

/**
 * The subject of a CA: a name to read, and the start of its key's identifier as X.520 serialNumber, so that no two
 * keys share a subject (CRLs and chains are found by it). A common name holds 64 characters at most (RFC 5280
 * appendix A, ub-common-name), a trust domain 255: the rest is cut, for the identity is in the SAN.
 */
export function caName(role: 'root' | 'issuing', trustDomain: string, keyId: Buffer): Asn1 {
  const commonName = `Purser ${role} CA ${trustDomain}`.slice(0, 64)
  return sequence([
    attribute('2.5.4.3', utf8(commonName)),
    attribute('2.5.4.5', printable(keyId.toString('hex', 0, 8))),
  ])
}

/**
 * A key's identifier: the first 160 bits of the SHA-256 of its SPKI (after RFC 7093 section 2). So a certificate's
 * identifier is the beginning of the `publicKeySha256` in the log.
 */
export const keyIdOf = (spki: Uint8Array): Buffer => hash('sha256', spki, 'buffer').subarray(0, 20)
