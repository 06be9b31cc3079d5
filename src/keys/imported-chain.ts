import { type KeyObject, X509Certificate } from 'node:crypto'
import { Asn1Error, childrenOf, fromDerStrict, sameOid } from './asn1-strict.ts'
import { oid, tag } from './asn1.ts'
import { type NameConstraints, extensionOid } from './extensions.ts'
import { PemError, decodePemBlocks, encodePem } from './pem.ts'
import { type CertificateFields, findExtension, readCertificate } from './read-certificate.ts'
import { isGeneralNames, keyUsageOf, nameConstraintsOf, pathLengthOf, usageBit } from './read-extensions.ts'
import { weaknessOf } from './weak-keys.ts'

/** An upstream CA's answer that can't be our issuing CA; the message says why, to the operator. */
export class ImportedChainError extends Error {
  /** Our own words: a log may show them. */
  readonly safeToLog = true
  override readonly name = 'ImportedChainError'
}

type Ca = CertificateFields & { certificate: X509Certificate; label: string }

export type ImportedChainParts = {
  /** Certificates one after the other, nothing between them. */
  pem: string
  /** The key that the request was for. */
  publicKey: KeyObject
  trustDomain: string
  /** Those of the request: our issuing CA must have these, and no CA of the chain any others. */
  nameConstraints?: NameConstraints | undefined
  now: Date
}

/**
 * Checks the chain that an upstream CA issued for our request: our issuing CA first, each certificate signed by the next, a
 * self-signed root last. Every rule that a leaf's verifier would apply later is applied now, while an operator looks.
 * Throws ImportedChainError.
 */
export function checkImportedChain(parts: ImportedChainParts) {
  try {
    return check(parts)
  } catch (error) {
    if (error instanceof ImportedChainError) throw error
    throw new ImportedChainError('a certificate of the chain cannot be read', { cause: error })
  }
}

function check(parts: ImportedChainParts) {
  const cas = readAll(parts.pem)
  const [issuing, ...above] = cas
  const root = above.at(-1)
  if (!issuing || !root) throw new ImportedChainError('the chain must hold our issuing CA and its root')
  if (!issuing.certificate.publicKey.equals(parts.publicKey)) {
    throw new ImportedChainError('the first certificate is not for the key of our request')
  }
  cas.forEach((ca, depth) => checkCa(ca, depth, parts.now))
  above.forEach((issuer, i) => checkLink(cas[i]!, issuer))
  checkLink(root, root)
  for (const ca of cas.slice(0, -1)) {
    checkBelowRoot(ca)
    checkNameConstraints(ca, parts.nameConstraints)
  }
  if (parts.nameConstraints && !findExtension(issuing.extensions, extensionOid.nameConstraints)) {
    throw new ImportedChainError(
      'our issuing CA lacks the name constraints of the request: sign it with them, or unset PURSER_CA_NAME_CONSTRAINTS',
    )
  }
  checkTrustDomain(issuing, parts.trustDomain)
  return {
    /** Our issuing CA and what leads from it to the root, root excluded: what goes out behind leaves. PEM. */
    chain: cas
      .slice(0, -1)
      .map((ca) => encodePem('CERTIFICATE', ca.certificate.raw))
      .join(''),
    root: encodePem('CERTIFICATE', root.certificate.raw),
    // No leaf may live outside any of its CAs
    notBefore: new Date(Math.max(...cas.map((ca) => Date.parse(ca.certificate.validFrom)))),
    notAfter: new Date(Math.min(...cas.map((ca) => Date.parse(ca.certificate.validTo)))),
  }
}

const maxCertificates = 8

function readAll(pem: string): Ca[] {
  try {
    return decodePemBlocks(pem, ['CERTIFICATE'], maxCertificates).map((der, i) => ({
      ...readCertificate(der),
      certificate: new X509Certificate(der),
      label: i === 0 ? 'our issuing CA' : `certificate ${i + 1}`,
    }))
  } catch (error) {
    const isFormatError = error instanceof PemError || error instanceof Asn1Error
    throw new ImportedChainError(`not a chain of certificates in PEM${isFormatError ? `: ${error.message}` : ''}`)
  }
}

/** @param depth how many CAs are below this one, which its path length must allow (RFC 5280 section 4.2.1.9) */
function checkCa(ca: Ca, depth: number, now: Date): void {
  const { certificate, label } = ca
  checkNames(ca)
  if (!certificate.ca) throw new ImportedChainError(`${label} is not a CA (basicConstraints)`)
  const usage = keyUsageOf(ca.extensions) ?? 0
  if ((usage & usageBit.keyCertSign) === 0)
    throw new ImportedChainError(`${label} may not sign certificates (keyUsage)`)
  if (depth === 0 && (usage & usageBit.cRLSign) === 0)
    throw new ImportedChainError(`${label} may not sign CRLs (keyUsage)`)
  const pathLength = pathLengthOf(ca.extensions)
  if (pathLength !== undefined && pathLength < depth) {
    throw new ImportedChainError(`${label} allows ${pathLength} CAs below it, the chain has ${depth} (pathLen)`)
  }
  if (now < new Date(certificate.validFrom) || now >= new Date(certificate.validTo)) {
    throw new ImportedChainError(`${label} is not valid now`)
  }
  checkKey(ca)
}

function checkKey({ certificate, label }: Ca): void {
  const weakness = weaknessOf(certificate.publicKey)
  if (weakness === undefined) return
  const kind = certificate.publicKey.asymmetricKeyType === 'rsa' ? 'a weak RSA key' : 'a key that is refused'
  throw new ImportedChainError(`${label} has ${kind}: ${weakness}`)
}

/** Whatever OpenSSL cannot decode, verifiers read in different ways. */
function checkNames({ certificate, extensions, label }: Ca): void {
  const names = findExtension(extensions, extensionOid.subjectAltName)
  if (names && !(isGeneralNames(names.value) && certificate.subjectAltName))
    throw new ImportedChainError(`${label} has a subject alternative name that cannot be decoded`)
}

function checkLink(subject: Ca, issuer: Ca): void {
  if (
    !subject.certificate.checkIssued(issuer.certificate) ||
    !subject.certificate.verify(issuer.certificate.publicKey)
  ) {
    const reason = subject === issuer ? 'is not a self-signed root' : `is not signed by ${issuer.label}`
    throw new ImportedChainError(`${subject.label} ${reason}`)
  }
}

/** RFC 5758, RFC 4055, RFC 8410: nothing with MD5 or SHA-1, and no PSS, whose digest hides in parameters. */
const soundSignatures = [
  '1.2.840.10045.4.3.2',
  '1.2.840.10045.4.3.3',
  '1.2.840.10045.4.3.4',
  '1.2.840.113549.1.1.11',
  '1.2.840.113549.1.1.12',
  '1.2.840.113549.1.1.13',
  '1.3.101.112',
].map(oid)

/** What every verifier understands in a critical extension of a CA; name constraints have rules of their own below. */
const understood = [
  extensionOid.basicConstraints,
  extensionOid.keyUsage,
  extensionOid.subjectAltName,
  extensionOid.nameConstraints,
].map(oid)

/** Rules for what is sent with leaves; verifiers hardly read the extensions of a root. */
function checkBelowRoot(ca: Ca): void {
  if (!soundSignatures.some((signature) => sameOid(ca.signatureAlgorithm, signature))) {
    throw new ImportedChainError(`${ca.label} is signed with an algorithm that verifiers refuse`)
  }
  if (findExtension(ca.extensions, extensionOid.extendedKeyUsage)) {
    throw new ImportedChainError(`${ca.label} has an extended key usage, which verifiers read differently on a CA`)
  }
  if (
    ca.extensions.some(
      (extension) => extension.critical && !understood.some((identifier) => sameOid(extension.id, identifier)),
    )
  ) {
    throw new ImportedChainError(`${ca.label} has a critical extension that verifiers may not know`)
  }
}

/** Critical, as RFC 5280 section 4.2.1.10 demands, and the same names in any order. */
function checkNameConstraints({ extensions, label }: Ca, requested: NameConstraints | undefined): void {
  const extension = findExtension(extensions, extensionOid.nameConstraints)
  if (!extension) return
  if (!requested) {
    throw new ImportedChainError(`${label} has name constraints, which the request did not ask for`)
  }
  if (!extension.critical || sortedNames(readable(extensions)) !== sortedNames(requested)) {
    throw new ImportedChainError(
      `${label} has other name constraints than the request: sign it with URI ${requested.uri} and DNS ${requested.dns.join(', ')} permitted, critical`,
    )
  }
}

const sortedNames = (names: NameConstraints | undefined): string =>
  names ? JSON.stringify([names.uri, ...names.dns.toSorted()]) : ''

function readable(extensions: CertificateFields['extensions']): NameConstraints | undefined {
  try {
    return nameConstraintsOf(extensions)
  } catch (error) {
    if (!(error instanceof Asn1Error)) throw error
    return undefined
  }
}

/** SPIFFE X509-SVID section 4.1 asks for the trust domain's own ID; upstream CAs may drop it, but not name another. */
function checkTrustDomain(issuing: Ca, trustDomain: string): void {
  if (!findExtension(issuing.extensions, extensionOid.subjectKeyIdentifier)) {
    throw new ImportedChainError('our issuing CA has no subject key identifier')
  }
  const names = findExtension(issuing.extensions, extensionOid.subjectAltName)
  const uris = names
    ? childrenOf(fromDerStrict(names.value), tag.sequence).filter((asn1) => asn1.tagClass === 0x80 && asn1.type === 6)
    : []
  if (uris.length > 1 || uris.some((uri) => uri.value !== `spiffe://${trustDomain}`)) {
    throw new ImportedChainError('our issuing CA carries the name of something other than this trust domain')
  }
}
