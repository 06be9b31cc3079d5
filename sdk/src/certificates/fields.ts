/** Fields of a certificate that Node does not expose: the encoded name, the key usage, and the CRL's URL. */
import type { X509Certificate } from 'node:crypto'
import { type Der, type Extension, expect, inContext, members, readDer, readExtensions, tag } from './der.ts'

export type CertificateFields = {
  /** The Name, DER. */
  subject: Buffer
  /** By basic constraints only: Node's `ca` is false for an authority with an unsuitable key usage. */
  isCa: boolean
  /** Undefined: unrestricted. */
  keyUsage: { signsCertificates: boolean; signsCrls: boolean } | undefined
  /** Undefined unless there is exactly one distribution point with one URL, as in Purser's certificates. */
  crlUrl: string | undefined
}

const oid = { basicConstraints: '551d13', keyUsage: '551d0f', crlDistributionPoints: '551d1f' }
const cache = new WeakMap<X509Certificate, CertificateFields>()

/** @throws DerError for a certificate that is not strict DER, though OpenSSL may accept it */
export function fieldsOf(certificate: X509Certificate): CertificateFields {
  const cached = cache.get(certificate)
  if (cached) return cached
  const [tbs] = members(expect(readDer(certificate.raw), tag.sequence, 'a certificate'))
  // RFC 5280 section 4.1: version, serial number, algorithm, issuer, validity, subject, key, …, extensions
  const parts = members(expect(tbs, tag.sequence, 'its signed part'))
  const offset = parts[0]?.tag === inContext(0) ? 1 : 0
  const subject = expect(parts[offset + 4], tag.sequence, 'its subject').whole
  const extensions = parts.find((part) => part.tag === inContext(3))
  const extensionsById = extensions ? readExtensions(readDer(extensions.content)) : new Map<string, Extension>()
  const constraints = extensionsById.get(oid.basicConstraints)
  const usage = extensionsById.get(oid.keyUsage)
  const points = extensionsById.get(oid.crlDistributionPoints)
  const fields = {
    subject,
    // RFC 5280 section 4.2.1.9: `cA` is the first member, and absent if false
    isCa: constraints !== undefined && members(readDer(constraints.value))[0]?.tag === tag.boolean,
    keyUsage: usage && readKeyUsage(usage.value),
    crlUrl: points && readCrlUrl(points.value),
  }
  cache.set(certificate, fields)
  return fields
}

/** RFC 5280 section 4.2.1.3: keyCertSign is bit 5, cRLSign bit 6. */
function readKeyUsage(value: Buffer): CertificateFields['keyUsage'] {
  const [, bits = 0] = expect(readDer(value), tag.bitString, 'the key usage').content
  return { signsCertificates: (bits & 0x04) !== 0, signsCrls: (bits & 0x02) !== 0 }
}

/** RFC 5280 section 4.2.1.13: a list of points. */
function readCrlUrl(value: Buffer): string | undefined {
  const points = members(expect(readDer(value), tag.sequence, 'the distribution points'))
  return points.length === 1 ? urlOfPoint(points[0]) : undefined
}

/** The one URL of a point that has nothing else: distributionPoint [0], fullName [0] and a URI [6]. */
export function urlOfPoint(point: Der | undefined): string | undefined {
  let inner = point
  for (const type of [tag.sequence, inContext(0), inContext(0)]) {
    if (inner?.tag !== type) return undefined
    const inside: Der[] = members(inner)
    inner = inside.length === 1 ? inside[0] : undefined
  }
  return inner?.tag === uri ? inner.content.toString('latin1') : undefined
}

const uri = 0x86
