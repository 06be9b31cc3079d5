import { Asn1Error, childrenOf, contentOf, fromDerStrict, sameOid } from './asn1-strict.ts'
import { type Asn1, oid, tag } from './asn1.ts'

export type Extension = { id: Asn1; critical: boolean; value: Buffer }

/** What of a certificate we read ourselves; times, key and signature are left to OpenSSL. */
export type CertificateFields = { subject: Asn1; signatureAlgorithm: Asn1; extensions: Extension[] }

/** Strict DER, version 3, no extension twice (RFC 5280 section 4.1 and 4.2). Throws Asn1Error. */
export function readCertificate(der: Uint8Array): CertificateFields {
  const [tbs, algorithm, signature, ...trailing] = childrenOf(fromDerStrict(der), tag.sequence)
  contentOf(signature, tag.bitString)
  const [version, serial, , , , subject, spki, ...optional] = childrenOf(tbs, tag.sequence)
  const [number] = childrenOf(version, 0, 0x80)
  checkSerial(contentOf(serial, tag.integer))
  const list = optional.find((field) => field.tagClass === 0x80 && field.type === 3)
  if (!contentOf(number, tag.integer).equals(Buffer.of(2)) || !list || !subject || !spki || trailing.length > 0) {
    throw new Asn1Error('not a version 3 certificate with extensions')
  }
  const [signatureAlgorithm] = childrenOf(algorithm, tag.sequence)
  if (!signatureAlgorithm) throw new Asn1Error('no signature algorithm')
  const extensions = readExtensions(childrenOf(childrenOf(list, 3, 0x80)[0], tag.sequence))
  return { subject, signatureAlgorithm, extensions }
}

const maxSerialBytes = 20

/** RFC 5280 section 4.1.2.2: positive, at most 20 bytes. CRLs and blocks name a certificate by it. */
function checkSerial(content: Buffer): void {
  if (content[0]! >= 0x80 || content.length > maxSerialBytes || content.every((byte) => byte === 0))
    throw new Asn1Error('a serial number that is not positive, or has more than 20 bytes')
}

/** None twice (section 4.2). Throws Asn1Error. */
export function readExtensions(nodes: readonly Asn1[]): Extension[] {
  const extensions = nodes.map(readExtension)
  const ids = new Set(extensions.map(({ id }) => id.value))
  if (ids.size !== extensions.length) throw new Asn1Error('an extension occurs twice')
  return extensions
}

function readExtension(node: Asn1): Extension {
  const [id, ...rest] = childrenOf(node, tag.sequence)
  contentOf(id, tag.oid)
  const flag = rest.length === 2 ? contentOf(rest.shift(), tag.boolean) : Buffer.of(0)
  if (!id || rest.length !== 1) throw new Asn1Error('not an extension')
  return { id, critical: flag[0] === 0xff, value: contentOf(rest[0], tag.octetString) }
}

export function findExtension(extensions: Extension[], dotted: string): Extension | undefined {
  const identifier = oid(dotted)
  return extensions.find((extension) => sameOid(extension.id, identifier))
}
