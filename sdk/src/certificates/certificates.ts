import { X509Certificate } from 'node:crypto'

const block = /-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----/g

/**
 * The certificates of a PEM text, in order.
 * @returns undefined if there is none or one is unreadable: Node.js would take an empty list of anchors for its own roots
 */
export function readCertificates(pem: string): X509Certificate[] | undefined {
  try {
    const all = (pem.match(block) ?? []).map((text) => new X509Certificate(text))
    return all.length === 0 ? undefined : all
  } catch {
    return undefined
  }
}

/** SHA-256 of the DER, lower-case hex. */
export const fingerprintOf = (certificate: X509Certificate): string =>
  certificate.fingerprint256.replaceAll(':', '').toLowerCase()

/** Parses a fingerprint in openssl's notation, with or without colons, in either case; undefined for other text. */
export function readFingerprint(text: string): string | undefined {
  const hex = text.replace(/^sha256[:=]/i, '').replaceAll(':', '')
  return /^[0-9a-f]{64}$/i.test(hex) ? hex.toLowerCase() : undefined
}

/** The URIs of the subject alternative name. Node quotes special characters, which a SPIFFE ID does not have. */
export const urisOf = (certificate: X509Certificate): string[] =>
  (certificate.subjectAltName ?? '').split(', ').flatMap((name) => (name.startsWith('URI:') ? [name.slice(4)] : []))
