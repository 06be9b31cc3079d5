import { type Asn1, bitString, context, enumerated, integer, raw, sequence, time, toDer } from '../keys/asn1.ts'
import type { CertificateIssuer } from '../keys/certificate.ts'
import { crlNumber, extension, extensionOid } from '../keys/extensions.ts'
import { encodePem } from '../keys/pem.ts'

/** RFC 5280 section 5.3.1; `unspecified` is said by leaving the reason out. */
const crlReasons = {
  keyCompromise: 1,
  cACompromise: 2,
  affiliationChanged: 3,
  superseded: 4,
  cessationOfOperation: 5,
  privilegeWithdrawn: 9,
} as const

type RevokedCertificate = { serial: Buffer; at: Date; reason?: keyof typeof crlReasons }

export type CrlParts = {
  issuer: Pick<CertificateIssuer, 'name' | 'authorityKeyIdentifier' | 'signer'>
  /** Grows with each CRL of this issuer. */
  number: bigint
  thisUpdate: Date
  nextUpdate: Date
  revoked: readonly RevokedCertificate[]
}

/** A complete version 2 CRL (RFC 5280 section 5) of everything that this issuer signed. */
export function buildCrl(parts: CrlParts): { der: Buffer; pem: string } {
  const { issuer, number, thisUpdate, nextUpdate, revoked } = parts
  if (!(thisUpdate < nextUpdate)) throw new RangeError('a CRL ends after it begins')
  const tbs = toDer(
    sequence([
      integer(1),
      issuer.signer.algorithm,
      issuer.name,
      time(thisUpdate),
      time(nextUpdate),
      // section 5.1.2.6: absent when nothing is revoked, never an empty sequence
      ...(revoked.length === 0 ? [] : [sequence(revoked.map(entry))]),
      context(0, [sequence([issuer.authorityKeyIdentifier, crlNumber(number)])]),
    ]),
  )
  const der = toDer(sequence([raw(tbs), issuer.signer.algorithm, bitString(issuer.signer.sign(tbs))]))
  return { der, pem: encodePem('X509 CRL', der) }
}

function entry({ serial, at, reason }: RevokedCertificate): Asn1 {
  const fields = [integer(serial), time(at)]
  if (reason !== undefined) {
    fields.push(sequence([extension(extensionOid.reasonCode, false, enumerated(crlReasons[reason]))]))
  }
  return sequence(fields)
}
