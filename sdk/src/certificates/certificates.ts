import { X509Certificate } from 'node:crypto'

const block = /-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----/g

/**
 * Every certificate of a PEM text, in order.
 * @returns undefined when there is none or one can't be read: an empty list of anchors would mean those of Node.js
 */
export function readCertificates(pem: string): X509Certificate[] | undefined {
  try {
    const all = (pem.match(block) ?? []).map((one) => new X509Certificate(one))
    return all.length === 0 ? undefined : all
  } catch {
    return undefined
  }
}

/** SHA-256 of the DER, lower-case hex. */
export const fingerprintOf = (certificate: X509Certificate): string =>
  certificate.fingerprint256.replaceAll(':', '').toLowerCase()

/** As openssl prints it, with or without colons, in either case; undefined for anything else. */
export function readFingerprint(text: string): string | undefined {
  const hex = text.replace(/^sha256[:=]/i, '').replaceAll(':', '')
  return /^[0-9a-f]{64}$/i.test(hex) ? hex.toLowerCase() : undefined
}

/** The URIs in a certificate's subject alternative name. A SPIFFE ID has no character that would be quoted here. */
export const urisOf = (certificate: X509Certificate): string[] =>
  (certificate.subjectAltName ?? '').split(', ').flatMap((name) => (name.startsWith('URI:') ? [name.slice(4)] : []))
