/** Which CRL would name a certificate, and whose it is. */
import type { X509Certificate } from 'node:crypto'
import { fieldsOf } from '../certificates/fields.ts'
import { readCertificates } from '../certificates/certificates.ts'
import { bareHex } from '../certificates/der.ts'

export type CrlName = {
  key: string
  /** As the certificate has it. */
  url: string
  /** What Purser is asked for, at the address that is known for it: `/crl/<key id>`. */
  path: string
  /** Who signed the certificate, and signs the CRL. */
  issuer: X509Certificate
  /** The certificate's, as a CRL is read. */
  serial: string
}

/** @param roots PEM, as they are now: the issuers of what has none above it in its chain */
export function createCrlNames(
  roots: () => string,
): (certificate: X509Certificate, above: X509Certificate | undefined) => CrlName | undefined {
  const known = new WeakMap<X509Certificate, CrlName>()
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
    const before = known.get(certificate)
    if (before) return before
    const url = urlOf(certificate)
    const [path] = /\/crl\/[\w-]{1,64}$/.exec(url ?? '') ?? []
    if (url === undefined || path === undefined) return undefined
    const issuer = [...(above ? [above] : []), ...current()].find(
      (it) => certificate.checkIssued(it) && certificate.verify(it.publicKey),
    )
    if (!issuer) return undefined
    const serial = bareHex(certificate.serialNumber)
    const name = { key: `${url} ${issuer.fingerprint256}`, url, path, issuer, serial }
    known.set(certificate, name)
    return name
  }
}

function urlOf(certificate: X509Certificate): string | undefined {
  try {
    return fieldsOf(certificate).crlUrl
  } catch {
    // Not one of Purser's, which are strict DER.
    return undefined
  }
}
