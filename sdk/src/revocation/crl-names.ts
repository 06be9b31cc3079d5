/** Which CRL would list a certificate, and who signs it. */
import type { X509Certificate } from 'node:crypto'
import { fieldsOf } from '../certificates/fields.ts'
import { readCertificates } from '../certificates/certificates.ts'
import { bareHex } from '../certificates/der.ts'

export type CrlName = {
  key: string
  /** The distribution point in the certificate. */
  url: string
  /** The path at the configured server: `/crl/<key id>`, or `/crl/<key id>/<shard>`. */
  path: string
  /** Signs the certificate and the CRL. */
  issuer: X509Certificate
  /** The certificate's serial number, in the form of a parsed CRL. */
  serial: string
}

/** @param roots PEM: the current roots, which issue the top of each chain */
export function createCrlNames(
  roots: () => string,
): (certificate: X509Certificate, above: X509Certificate | undefined) => CrlName | undefined {
  const cache = new WeakMap<X509Certificate, CrlName>()
  let text = ''
  let parsed: X509Certificate[] = []
  const current = (): X509Certificate[] => {
    if (roots() !== text) {
      text = roots()
      parsed = readCertificates(text) ?? []
    }
    return parsed
  }

  return (certificate, above) => {
    const cached = cache.get(certificate)
    if (cached) return cached
    const url = urlOf(certificate)
    const [path] = /\/crl\/[\w-]{1,64}(?:\/\d{1,3})?$/.exec(url ?? '') ?? []
    if (url === undefined || path === undefined) return undefined
    const issuer = [...(above ? [above] : []), ...current()].find(
      (candidate) => certificate.checkIssued(candidate) && certificate.verify(candidate.publicKey),
    )
    if (!issuer) return undefined
    const serial = bareHex(certificate.serialNumber)
    const name = { key: `${url} ${issuer.fingerprint256}`, url, path, issuer, serial }
    cache.set(certificate, name)
    return name
  }
}

function urlOf(certificate: X509Certificate): string | undefined {
  try {
    return fieldsOf(certificate).crlUrl
  } catch {
    // Certificates of Purser are strict DER.
    return undefined
  }
}
