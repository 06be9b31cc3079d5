/** The checks of an X.509-SVID (SPIFFE X509-SVID sections 2 to 5). */
import { X509Certificate, createPrivateKey } from 'node:crypto'
import { fingerprintOf, readCertificates, readSpiffeId, urisOf } from '@purser/sdk/checks'
import { type Extension, readCertificate } from '../../keys/read-certificate.ts'
import { keyUsageOf, usageBit } from '../../keys/read-extensions.ts'
import type { Anchors } from './anchors.ts'
import { type Checks, type Judged, createChecks, judgeTrustDomain, moment } from './checks.ts'
import { findPath, nameOf } from './path.ts'

/** With the path to the root, if there is one. */
export type JudgedCertificate = Judged & { path: X509Certificate[] }

export function judgeCertificate(pem: string, anchors: Anchors, now: Date): JudgedCertificate {
  const checks = createChecks()
  const [leaf, ...pool] = readCertificates(pem) ?? []
  const extensions = leaf && extensionsOf(leaf)
  if (!leaf || !extensions) {
    checks.failed('form', 'not a readable X.509 version 3 certificate in PEM and strict DER')
    return { checks, facts: {}, path: [] }
  }
  checks.ok('form', pool.length === 0 ? 'one certificate' : `a certificate, and ${pool.length} more of its chain`)
  judgeNames(checks, leaf, anchors)
  judgeLeaf(checks, leaf, extensions)
  judgeKey(checks, leaf, pem)
  const path = judgePath(checks, leaf, pool, anchors)
  judgeTimes(checks, path, now)
  return { checks, facts: factsOf(leaf), path }
}

function extensionsOf(certificate: X509Certificate): Extension[] | undefined {
  try {
    return readCertificate(certificate.raw).extensions
  } catch {
    return undefined
  }
}

/** Sections 2 and 5.2: exactly one URI, which is the SPIFFE ID. */
function judgeNames(checks: Checks, leaf: X509Certificate, { trustDomain }: Anchors): void {
  const uris = urisOf(leaf)
  const id = readSpiffeId(uris[0] ?? '')
  if (uris.length !== 1) {
    checks.failed('SPIFFE ID', `its subject alternative name has ${uris.length} URIs, but an SVID has one`)
  } else if (!id || id.path === '') checks.failed('SPIFFE ID', `${uris[0] ?? ''} is not the SPIFFE ID of a workload`)
  else checks.ok('SPIFFE ID', uris[0] ?? '')
  judgeTrustDomain(checks, id?.trustDomain, trustDomain)
}

/** Section 4: a leaf signs messages and no certificates. */
function judgeLeaf(checks: Checks, leaf: X509Certificate, extensions: Extension[]): void {
  if (leaf.ca) checks.failed('leaf', 'it is a CA (basicConstraints), not the SVID of a workload')
  else checks.ok('leaf', 'CA is false')
  const usage = keyUsageOf(extensions) ?? 0
  if ((usage & usageBit.digitalSignature) === 0) checks.failed('key usage', 'digitalSignature is missing')
  else if ((usage & (usageBit.keyCertSign | usageBit.cRLSign)) !== 0) {
    checks.failed('key usage', 'keyCertSign or cRLSign is set, which is forbidden for a leaf')
  } else checks.ok('key usage', 'digitalSignature, without keyCertSign and cRLSign')
  // In Node.js, `keyUsage` is the extendedKeyUsage.
  const purposes = leaf.keyUsage as string[] | undefined
  const names = (purposes ?? []).map((purpose) => purposeNames[purpose] ?? purpose)
  if (!purposes) checks.ok('purposes', 'any: none is named')
  else if (purposes.some((purpose) => purpose in purposeNames)) checks.ok('purposes', names.join(', '))
  else checks.failed('purposes', `${names.join(', ')}: neither serverAuth nor clientAuth`)
}

const purposeNames: Readonly<Record<string, string>> = {
  '1.3.6.1.5.5.7.3.1': 'serverAuth',
  '1.3.6.1.5.5.7.3.2': 'clientAuth',
}

/** The file may also hold the key, as tls.pem does. */
function judgeKey(checks: Checks, leaf: X509Certificate, pem: string): void {
  if (!/-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(pem)) return
  try {
    if (leaf.checkPrivateKey(createPrivateKey(pem))) checks.ok('private key', 'the key in the file belongs to it')
    else checks.failed('private key', 'the key in the file belongs to another certificate')
  } catch {
    checks.failed('private key', 'the key in the file cannot be read')
  }
}

function judgePath(
  checks: Checks,
  leaf: X509Certificate,
  pool: readonly X509Certificate[],
  { roots, from }: Anchors,
): X509Certificate[] {
  const { certificates, broken } = findPath(leaf, pool, roots)
  if (broken === undefined) {
    const above = certificates.slice(1).map(nameOf).join(', then ')
    checks.ok('chain', above === '' ? `it is itself a root in ${from}` : above)
  } else checks.failed('chain', broken)
  return certificates
}

function judgeTimes(checks: Checks, path: readonly X509Certificate[], now: Date): void {
  for (const [n, certificate] of path.entries()) {
    const [begin, end] = [new Date(certificate.validFrom), new Date(certificate.validTo)]
    const what = n === 0 ? 'it' : nameOf(certificate)
    if (end <= now) return checks.failed('times', `${what} expired at ${moment(end, now)}`)
    if (begin > now) {
      return checks.failed(
        'times',
        `${what} is not valid before ${moment(begin, now)}: check the clock of this machine`,
      )
    }
  }
  const [leaf] = path
  if (leaf) checks.ok('times', `until ${moment(new Date(leaf.validTo), now)}`)
}

function factsOf(leaf: X509Certificate): Record<string, unknown> {
  const { asymmetricKeyType, asymmetricKeyDetails } = leaf.publicKey
  const { namedCurve, modulusLength } = asymmetricKeyDetails ?? {}
  return {
    names: (leaf.subjectAltName ?? '').split(', '),
    ...(leaf.subject ? { subject: leaf.subject.replaceAll('\n', ', ') } : {}),
    issuer: (leaf.issuer ?? '').replaceAll('\n', ', '),
    serialNumber: leaf.serialNumber.toLowerCase(),
    key: [asymmetricKeyType, namedCurve ?? modulusLength].filter((value) => value !== undefined).join(' '),
    notBefore: new Date(leaf.validFrom).toISOString(),
    notAfter: new Date(leaf.validTo).toISOString(),
    sha256: fingerprintOf(leaf),
  }
}
