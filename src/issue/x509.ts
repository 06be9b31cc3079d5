/** grant → X.509-SVID, from a CSR's key, or from a key that is generated here for clients that cannot generate one. */
import { type KeyObject, createHash, generateKeyPairSync } from 'node:crypto'
import { isIP } from 'node:net'
import type { IssuedX509 as X509Record } from '../store/issued.ts'
import { type Problem, refuse } from '../errors.ts'
import { type CertificateIssuer, serialFrom } from '../keys/certificate.ts'
import type { OpenCa } from '../keys/keys.ts'
import { isUnder } from '../names/dns-name.ts'
import { type CsrVerdict, createCsrVerdicts } from './csr.ts'
import { endOf, renewAfter, rfc3339 } from './lifetime.ts'
import { type X509Issuer, createX509Issuer } from './x509-svid.ts'

export type X509Request = {
  csr?: string
  generateKey?: 'EC-P256' | 'RSA-2048'
  dnsNames?: string[]
  lifetimeSeconds?: number
}

export type X509Reply = {
  certificateChain: string
  trustBundle: string
  privateKey?: string
  serialNumber: string
  notAfter: string
  renewAfter: string
}

export type X509Parts = {
  trustDomain: string
  /** Where the CRL of an issuing key is. */
  crlUrl: (keyId: string) => string
  /** Whether new certificates name a shard of that CRL. */
  areCrlsSharded: () => boolean
  randomBytes: (size: number) => Buffer
  /** Keys that may never be certified: our own CAs'. By SHA-256 of the SPKI, hex. */
  refusesKey: (publicKeySha256: string) => boolean
  /** Host names of the listener that its CA may not sign for. */
  onNamesLeftOut: (names: readonly string[]) => void
}

export type IssueX509 = (
  request: X509Request,
  grant: { spiffeId: string; dnsNames: readonly string[]; maxLifetimeSeconds: number },
  signing: { ca: OpenCa; trustBundle: string; sessionEnd: Date; now: Date },
) => { reply: X509Reply; record: X509Record }

type Subject = { key: Pick<CsrVerdict, 'spki' | 'keyType' | 'publicKeySha256'>; privateKey?: string }

function makeKey(kind: 'EC-P256' | 'RSA-2048'): Subject {
  const pair =
    kind === 'EC-P256'
      ? generateKeyPairSync('ec', { namedCurve: 'P-256' })
      : generateKeyPairSync('rsa', { modulusLength: 2048 })
  const spki = pair.publicKey.export({ type: 'spki', format: 'der' })
  const publicKeySha256 = createHash('sha256').update(spki).digest('hex')
  const privateKey = String(pair.privateKey.export({ type: 'pkcs8', format: 'pem' }))
  return { key: { spki, keyType: kind === 'EC-P256' ? kind : 'RSA', publicKeySha256 }, privateKey }
}

/** Names left out mean all that are granted, an empty list means none. */
function chooseNames(requested: string[] | undefined, granted: readonly string[]): readonly string[] {
  if (requested === undefined) return granted
  const errors: Problem[] = requested.flatMap((name, n) =>
    granted.includes(name) ? [] : [{ pointer: `/x509/dnsNames/${n}`, detail: 'this name is not granted' }],
  )
  if (errors.length > 0) throw refuse('not_granted', { errors })
  return [...new Set(requested)]
}

const permits = ({ nameConstraints }: CertificateIssuer, name: string): boolean =>
  !nameConstraints || isUnder(name, nameConstraints.dns)

/** @throws Refusal `not_granted` where the issuing CA's certificate says less than the configuration does today */
function checkConstraints(names: readonly string[], issuer: CertificateIssuer): void {
  const errors: Problem[] = names
    .filter((name) => !permits(issuer, name))
    .map((name) => ({
      pointer: '/x509/dnsNames',
      detail: `${name} is outside the name constraints of the issuing CA: an operator has to rotate the root CA`,
    }))
  if (errors.length > 0) throw refuse('not_granted', { errors })
}

/** The certificate of Purser's own listener, under the name `/purser/server` that no entry can be granted. */
export type IssueServerCertificate = (
  publicKey: KeyObject,
  names: readonly string[],
  ca: OpenCa,
  now: Date,
) => { chain: string; record: X509Record; notAfter: Date }

const serverSeconds = 24 * 3600

/** The SHA-256, in hex, of the key that a request is for; nothing where the key is generated here. */
export type KeyOf = (request: X509Request) => string | undefined

export function createIssueX509(parts: X509Parts): { svid: IssueX509; server: IssueServerCertificate; keyOf: KeyOf } {
  const verdicts = createCsrVerdicts({ max: 10_000 })
  const issuers = new Map<string, X509Issuer>()
  let count = 0

  function issuerFor(ca: OpenCa): X509Issuer {
    let issuer = issuers.get(ca.row.id)
    if (!issuer) {
      const crlUrl = parts.crlUrl(ca.row.id)
      const { trustDomain, areCrlsSharded: isCrlSharded } = parts
      issuer = createX509Issuer({ trustDomain, issuer: ca.issuer, crlUrl, isCrlSharded, count: () => count })
      issuers.set(ca.row.id, issuer)
    }
    return issuer
  }

  const server: IssueServerCertificate = (publicKey, requested, ca, now) => {
    // A listener that lacks a name still lets an operator in to rotate the CA.
    const names = requested.filter((name) => isIP(name) !== 0 || permits(ca.issuer, name))
    if (names.length < requested.length) parts.onNamesLeftOut(requested.filter((name) => !names.includes(name)))
    const spki = publicKey.export({ type: 'spki', format: 'der' })
    const issued = issuerFor(ca).issueServerCertificate({
      key: { spki, keyType: 'EC-P256' },
      serial: serialFrom(parts.randomBytes(16)),
      now,
      notAfter: endOf(now, serverSeconds, serverSeconds, [ca.issuer.notAfter]),
      names,
    })
    const { serialNumber, sha256, notAfter } = issued
    const publicKeySha256 = createHash('sha256').update(spki).digest('hex')
    const record = {
      serialNumber,
      sha256,
      publicKeySha256,
      notAfter: rfc3339(notAfter),
      keyId: ca.row.id,
      dnsNames: [...names],
    }
    return { chain: issued.pem + ca.chain, record, notAfter }
  }

  const svid: IssueX509 = (request, grant, { ca, trustBundle, sessionEnd, now }) => {
    const subject: Subject =
      request.csr === undefined
        ? makeKey(request.generateKey ?? 'EC-P256')
        : { key: verdicts.read(request.csr, parts.refusesKey) }
    const dnsNames = chooseNames(request.dnsNames, grant.dnsNames)
    checkConstraints(dnsNames, ca.issuer)
    const notAfter = endOf(now, request.lifetimeSeconds, grant.maxLifetimeSeconds, [sessionEnd, ca.issuer.notAfter])
    const issued = issuerFor(ca).issueSvid({
      key: subject.key,
      serial: serialFrom(parts.randomBytes(16)),
      now,
      notAfter,
      spiffeId: grant.spiffeId,
      dnsNames,
    })
    count++
    return {
      reply: {
        certificateChain: issued.pem + ca.chain,
        trustBundle,
        ...(subject.privateKey !== undefined && { privateKey: subject.privateKey }),
        serialNumber: issued.serialNumber,
        notAfter: rfc3339(issued.notAfter),
        renewAfter: rfc3339(renewAfter(now, issued.notAfter)),
      },
      record: {
        serialNumber: issued.serialNumber,
        sha256: issued.sha256,
        publicKeySha256: subject.key.publicKeySha256,
        notAfter: rfc3339(issued.notAfter),
        keyId: ca.row.id,
        ...(dnsNames.length > 0 && { dnsNames: [...dnsNames] }),
      },
    }
  }

  const keyOf: KeyOf = ({ csr }) =>
    csr === undefined ? undefined : verdicts.read(csr, parts.refusesKey).publicKeySha256

  return { svid, server, keyOf }
}
