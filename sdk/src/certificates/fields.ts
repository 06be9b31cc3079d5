/** What Node doesn't say of a certificate: its name as bytes, what its key may do, and where its CRL is. */
import type { X509Certificate } from 'node:crypto'
import { type Der, type Extension, expect, inContext, members, readDer, readExtensions, tag } from './der.ts'

export type CertificateFields = {
  /** The Name, DER. */
  subject: Buffer
  /** Basic constraints alone: Node's `ca` is false for an authority whose key usage doesn't fit. */
  isCa: boolean
  /** Absent: for anything. */
  keyUsage: { signsCertificates: boolean; signsCrls: boolean } | undefined
  /** Of the one distribution point with one URL that Purser's certificates have; other forms are none. */
  crlUrl: string | undefined
}

const oid = { basicConstraints: '551d13', keyUsage: '551d0f', crlDistributionPoints: '551d1f' }
const read = new WeakMap<X509Certificate, CertificateFields>()

/** @throws DerError for a certificate that isn't strict DER: OpenSSL takes more */
export function fieldsOf(certificate: X509Certificate): CertificateFields {
  const known = read.get(certificate)
  if (known) return known
  const [tbs] = members(expect(readDer(certificate.raw), tag.sequence, 'a certificate'))
  // RFC 5280 section 4.1: version, serial number, algorithm, issuer, validity, subject, key, …, extensions
  const parts = members(expect(tbs, tag.sequence, 'its signed part'))
  const at = parts[0]?.tag === inContext(0) ? 1 : 0
  const subject = expect(parts[at + 4], tag.sequence, 'its subject').whole
  const extensions = parts.find((part) => part.tag === inContext(3))
  const named = extensions ? readExtensions(readDer(extensions.content)) : new Map<string, Extension>()
  const constraints = named.get(oid.basicConstraints)
  const usage = named.get(oid.keyUsage)
  const points = named.get(oid.crlDistributionPoints)
  const fields = {
    subject,
    // RFC 5280 section 4.2.1.9: `cA` is first, and absent where false
    isCa: constraints !== undefined && members(readDer(constraints.value))[0]?.tag === tag.boolean,
    keyUsage: usage && readKeyUsage(usage.value),
    crlUrl: points && readCrlUrl(points.value),
  }
  read.set(certificate, fields)
  return fields
}

/** RFC 5280 section 4.2.1.3: keyCertSign is bit 5, cRLSign bit 6. */
function readKeyUsage(value: Buffer): CertificateFields['keyUsage'] {
  const [, bits = 0] = expect(readDer(value), tag.bitString, 'the key usage').content
  return { signsCertificates: (bits & 0x04) !== 0, signsCrls: (bits & 0x02) !== 0 }
}

/** RFC 5280 section 4.2.1.13: points, of each the distribution point [0], of it the full name [0], of that URIs [6]. */
function readCrlUrl(value: Buffer): string | undefined {
  const points = members(expect(readDer(value), tag.sequence, 'the distribution points'))
  let inner: Der | undefined = points.length === 1 ? points[0] : undefined
  for (const type of [tag.sequence, inContext(0), inContext(0)]) {
    if (inner?.tag !== type) return undefined
    const inside: Der[] = members(inner)
    inner = inside.length === 1 ? inside[0] : undefined
  }
  return inner?.tag === uri ? inner.content.toString('latin1') : undefined
}

const uri = 0x86
