import { type Asn1, bitString, context, derHeader, integer, sequence, time, toDer } from '../keys/asn1.ts'
import type { CertificateIssuer } from '../keys/certificate.ts'
import { crlNumber, issuingDistributionPoint } from '../keys/extensions.ts'
import { encodePem } from '../keys/pem.ts'
import { CrlEntries, type RevokedCertificate } from './crl-entries.ts'

type Head = {
  issuer: Pick<CertificateIssuer, 'name' | 'authorityKeyIdentifier' | 'signer'>
  /** Grows with each CRL of this issuer and scope. */
  number: bigint
  thisUpdate: Date
  nextUpdate: Date
  /** The URL in the certificates that the CRL is limited to. Absent: it lists every certificate of the issuer. */
  point?: string
}

export type CrlParts = Head & { revoked: readonly RevokedCertificate[] }

/** A version 2 CRL (RFC 5280 section 5), all at once. */
export function buildCrl({ revoked, ...head }: CrlParts): { der: Buffer; pem: string } {
  const entries = new CrlEntries()
  for (const certificate of revoked) entries.add(certificate, head.nextUpdate)
  const unsigned = createUnsigned(head, [entries.bytes])
  const der = finished(head, unsigned, head.issuer.signer.sign(tbsOf(unsigned)))
  return { der, pem: encodePem('X509 CRL', der) }
}

/** The same from encoded entries, hashed and signed in the thread pool. Copies the entries before it returns. */
export async function signCrl(head: Head, entries: readonly Buffer[]): Promise<Buffer> {
  const unsigned = createUnsigned(head, entries)
  return finished(head, unsigned, await head.issuer.signer.signInPool(tbsOf(unsigned)))
}

/** The signed part, in a buffer with room for what stands before and after it: a CRL may have fifty megabytes. */
type Unsigned = { bytes: Buffer; start: number; end: number }

const tbsOf = ({ bytes, start, end }: Unsigned): Buffer => bytes.subarray(start, end)

/** A tag, a length byte, and the four bytes of a length. */
const maxHeaderBytes = 6
const sequenceTag = 0x30

function createUnsigned(head: Head, entries: readonly Buffer[]): Unsigned {
  const { issuer, number, thisUpdate, nextUpdate, point } = head
  if (!(thisUpdate < nextUpdate)) throw new RangeError('a CRL ends after it begins')
  const before = [integer(1), issuer.signer.algorithm, issuer.name, time(thisUpdate), time(nextUpdate)].map(toDer)
  const extensions: Asn1[] = [issuer.authorityKeyIdentifier, crlNumber(number)]
  if (point !== undefined) extensions.push(issuingDistributionPoint(point))
  const size = sizeOf(entries)
  // Section 5.1.2.6: absent when nothing is revoked, never an empty sequence
  const list = size === 0 ? [] : [derHeader(sequenceTag, size), ...entries]
  const content = [...before, ...list, toDer(context(0, [sequence(extensions)]))]
  const parts = [derHeader(sequenceTag, sizeOf(content)), ...content]
  const end = maxHeaderBytes + sizeOf(parts)
  const bytes = Buffer.allocUnsafeSlow(end + maxSignatureBytes)
  let at = maxHeaderBytes
  for (const part of parts) at += part.copy(bytes, at)
  return { bytes, start: maxHeaderBytes, end }
}

/** Algorithm and signature: an RSA key of 16,384 bits signs with 2,048 bytes. */
const maxSignatureBytes = 4_096

function finished({ issuer }: Head, { bytes, start, end }: Unsigned, signature: Buffer): Buffer {
  const after = Buffer.concat([toDer(issuer.signer.algorithm), toDer(bitString(signature))])
  const header = derHeader(sequenceTag, end - start + after.length)
  header.copy(bytes, start - header.length)
  after.copy(bytes, end)
  return bytes.subarray(start - header.length, end + after.length)
}

const sizeOf = (parts: readonly Buffer[]): number => parts.reduce((sum, part) => sum + part.length, 0)
