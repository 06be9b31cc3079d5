/** Builds the path from a leaf to a root of the bundle (RFC 5280 section 6.1). */
import type { X509Certificate } from 'node:crypto'
import { pathLengthOf } from '../../keys/read-extensions.ts'
import { readCertificate } from '../../keys/read-certificate.ts'

const max = 8

export type Path = {
  /** The leaf first; the root last, if it was reached. */
  certificates: X509Certificate[]
  /** Why the path does not reach a root. */
  broken?: string
}

/** `checkIssued` compares names, key identifiers and keyUsage, but does not verify the signature. */
const isIssuedBy = (certificate: X509Certificate, issuer: X509Certificate): boolean =>
  issuer.ca && certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey)

export const nameOf = (certificate: X509Certificate): string =>
  (certificate.subject ?? '').replaceAll('\n', ', ') || `serial ${certificate.serialNumber.toLowerCase()}`

/** @param pool the other certificates in the input */
export function findPath(
  leaf: X509Certificate,
  pool: readonly X509Certificate[],
  roots: readonly X509Certificate[],
): Path {
  const certificates = [leaf]
  let top = leaf
  while (certificates.length <= max) {
    const below = top
    if (roots.some((root) => root.raw.equals(below.raw))) return checkLengths(certificates)
    const root = roots.find((root) => isIssuedBy(below, root))
    if (root) return checkLengths([...certificates, root])
    const next = pool.find((certificate) => !certificates.includes(certificate) && isIssuedBy(below, certificate))
    if (!next) return { certificates, broken: whyNot(below, [...pool, ...roots]) }
    certificates.push(next)
    top = next
  }
  return { certificates, broken: `the chain is longer than ${max} certificates` }
}

function whyNot(certificate: X509Certificate, others: readonly X509Certificate[]): string {
  const issuer = (certificate.issuer ?? '').replaceAll('\n', ', ')
  const issuers = others.filter((other) => other !== certificate && other.subject === certificate.issuer)
  if (issuers.some((other) => !other.ca)) return `${nameOf(certificate)} is signed by ${issuer}, which is not a CA`
  if (issuers.length > 0)
    return `${nameOf(certificate)} names ${issuer} as its issuer, but the signature does not verify`
  return `${nameOf(certificate)} is signed by ${issuer}, which is neither in the bundle nor in the input: the chain is incomplete, or belongs to another trust domain`
}

/** Checks the path length constraints. */
function checkLengths(certificates: X509Certificate[]): Path {
  for (const [n, ca] of certificates.entries()) {
    const max = n === 0 ? undefined : pathLengthOf(readCertificate(ca.raw).extensions)
    if (max !== undefined && max < n - 1) {
      return { certificates, broken: `${nameOf(ca)} allows ${max} CAs below it, but there are ${n - 1}` }
    }
  }
  return { certificates }
}
