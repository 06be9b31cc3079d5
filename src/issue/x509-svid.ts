import { X509Certificate, hash } from 'node:crypto'
import { isIP } from 'node:net'
import type { Asn1 } from '../keys/asn1.ts'
import { emptyName, keyIdOf } from '../keys/ca-certificates.ts'
import { type CertificateIssuer, buildCertificate } from '../keys/certificate.ts'
import {
  basicConstraints,
  crlDistributionPoint,
  extendedKeyUsage,
  keyUsage,
  subjectAltName,
  subjectKeyIdentifier,
} from '../keys/extensions.ts'
import type { CsrVerdict } from './csr.ts'
import { crlShardOf, crlShardUrl, crlShards } from './crl-shards.ts'
import { ipAddressBytes } from './ip-address.ts'
import { type LeafProfile, LintError, lintLeaf } from './x509-lint.ts'

export { LintError } from './x509-lint.ts'

type Leaf = {
  key: Pick<CsrVerdict, 'spki' | 'keyType'>
  /** 16 bytes from `serialFrom`. */
  serial: Buffer
  now: Date
  /** At most the end of the session, the entry's maximum and the request; the end of the issuing CA is checked here. */
  notAfter: Date
}

export type X509SvidRequest = Leaf & { spiffeId: string; dnsNames: readonly string[] }
/** Names that Purser's own TLS listener is reached by, DNS names and IP addresses mixed. */
type ServerCertificateRequest = Leaf & { names: readonly string[] }

type IssuedX509 = {
  der: Buffer
  /** The leaf alone. */
  pem: string
  /** Lower-case hex, 32 digits. */
  serialNumber: string
  /** SHA-256 of the certificate's DER, hex. */
  sha256: string
  notBefore: Date
  notAfter: Date
}

export type X509Issuer = {
  /** @throws LintError for a request outside the profile, which callers have ruled out */
  issueSvid: (request: X509SvidRequest) => IssuedX509
  issueServerCertificate: (request: ServerCertificateRequest) => IssuedX509
}

const backdateMs = 10_000
const emptySubject = emptyName()
const notCa = basicConstraints(false)
const usages = {
  plain: keyUsage('digitalSignature'),
  rsa: keyUsage('digitalSignature', 'keyEncipherment'),
}
const purposes = { svid: extendedKeyUsage('serverAuth', 'clientAuth'), server: extendedKeyUsage('serverAuth') }

/** A distribution point, made once for all certificates that name it. */
type CrlPoint = { url: string; extension: Asn1 }

const crlPointAt = (url: string): CrlPoint => ({ url, extension: crlDistributionPoint(url) })

/**
 * Leaves under one issuing CA, by the SPIFFE X509-SVID profile.
 *
 * The subject is empty and the SAN therefore critical (RFC 5280 section 4.1.2.6): an identity in two places invites
 * reading the wrong one, and a subject must be unique to its owner, which an organization's name is not.
 *
 * @param parts.crlUrl where the CA's CRL is; absent, certificates name none
 * @param parts.isCrlSharded whether a new certificate names its shard of the CRL. It is revoked in both.
 * @param parts.count how many certificates were issued so far; each 256th is parsed back by OpenSSL
 */
export function createX509Issuer(parts: {
  trustDomain: string
  issuer: CertificateIssuer
  crlUrl?: string
  isCrlSharded?: () => boolean
  count: () => number
}): X509Issuer {
  const { trustDomain, issuer, crlUrl, isCrlSharded = () => false } = parts
  const whole = crlUrl === undefined ? undefined : crlPointAt(crlUrl)
  let shards: CrlPoint[] | undefined

  function crlPointFor(serial: Buffer): CrlPoint | undefined {
    if (crlUrl === undefined || !isCrlSharded()) return whole
    shards ??= Array.from({ length: crlShards }, (_, shard) => crlPointAt(crlShardUrl(crlUrl, shard)))
    return shards[crlShardOf(serial)]
  }

  function issue(
    leaf: Leaf,
    names: Pick<LeafProfile, 'purpose' | 'spiffeId' | 'dnsNames' | 'ipAddresses'>,
  ): IssuedX509 {
    const crlPoint = crlPointFor(leaf.serial)
    const profile: LeafProfile = {
      ...names,
      trustDomain,
      spki: leaf.key.spki,
      keyEncipherment: leaf.key.keyType === 'RSA',
      serial: leaf.serial,
      notBefore: wholeSecond(Math.max(leaf.now.getTime() - backdateMs, issuer.notBefore.getTime())),
      notAfter: wholeSecond(leaf.notAfter.getTime()),
      crlUrl: crlPoint?.url,
    }
    if (profile.notAfter <= leaf.now) throw new LintError('refused to sign: the end is not in the future')
    const { der, pem } = buildCertificate(
      {
        serial: profile.serial,
        issuerName: issuer.name,
        subjectName: emptySubject,
        notBefore: profile.notBefore,
        notAfter: profile.notAfter,
        spki: profile.spki,
        extensions: [
          notCa,
          profile.keyEncipherment ? usages.rsa : usages.plain,
          purposes[profile.purpose],
          subjectAltName({ uri: profile.spiffeId, dns: profile.dnsNames, ip: profile.ipAddresses }, true),
          subjectKeyIdentifier(keyIdOf(profile.spki)),
          issuer.authorityKeyIdentifier,
          ...(crlPoint ? [crlPoint.extension] : []),
        ],
        signer: issuer.signer,
      },
      (tbs) => lintLeaf(tbs, profile, issuer),
    )
    if (parts.count() % 256 === 0) parseBack(der, profile, issuer)
    return {
      der,
      pem,
      serialNumber: profile.serial.toString('hex'),
      sha256: hash('sha256', der, 'hex'),
      notBefore: profile.notBefore,
      notAfter: profile.notAfter,
    }
  }

  return {
    issueSvid: (leaf) =>
      issue(leaf, { purpose: 'svid', spiffeId: leaf.spiffeId, dnsNames: leaf.dnsNames, ipAddresses: [] }),
    issueServerCertificate: ({ names, ...leaf }) =>
      issue(leaf, {
        purpose: 'server',
        spiffeId: `spiffe://${trustDomain}/purser/server`,
        dnsNames: names.filter((name) => isIP(name) === 0),
        ipAddresses: names.filter((name) => isIP(name) !== 0).map(ipAddressBytes),
      }),
  }
}

/** X.509 has no fractions; cutting them shortens a life by less than a second and never lengthens it. */
const wholeSecond = (ms: number): Date => new Date(Math.floor(ms / 1000) * 1000)

/** OpenSSL's reading of the finished certificate: another parser than the lint's, with the signature. */
function parseBack(der: Buffer, profile: LeafProfile, issuer: CertificateIssuer): void {
  const parsed = new X509Certificate(der)
  const uris = (parsed.subjectAltName ?? '').split(', ').filter((name) => name.startsWith('URI:'))
  const sound =
    !parsed.ca &&
    parsed.subject === undefined &&
    uris.length === 1 &&
    uris[0] === `URI:${profile.spiffeId}` &&
    parsed.serialNumber === profile.serial.toString('hex').toUpperCase() &&
    parsed.publicKey.export({ type: 'spki', format: 'der' }).equals(profile.spki) &&
    Date.parse(parsed.validTo) === profile.notAfter.getTime() &&
    parsed.checkIssued(issuer.certificate) &&
    parsed.verify(issuer.certificate.publicKey)
  if (!sound) throw new LintError('OpenSSL reads the certificate otherwise than it was meant')
}
