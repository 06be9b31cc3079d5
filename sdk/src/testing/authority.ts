/** Root CAs and issuing CAs in memory, with their revocations. */
import { X509Certificate, generateKeyPairSync, hash } from 'node:crypto'
import { encodePem } from '../certificates/der-write.ts'
import {
  type Signer,
  caExtensions,
  caName,
  emptyName,
  keyIdOf,
  leafExtensions,
  newSerial,
  signCertificate,
  signCrl,
  spkiOf,
} from './x509.ts'

type Reason = 'keyCompromise' | 'cACompromise'
type Revocation = { serialNumber: string; at: Date; until: Date; reason?: Reason | undefined }
type Ca = Signer & {
  id: string
  certificate: X509Certificate
  pem: string
  above: Ca | undefined
  crlUrl: string
  revoked: Revocation[]
}

type Leaf = { spki: Buffer; rsa: boolean; spiffeId: string; dnsNames: readonly string[]; notAfter: Date }
type Signed = { chain: string; der: Buffer; serialNumber: string; caId: string }

export type Authority = ReturnType<typeof createAuthority>

const year = 365 * 86_400_000
/** Allows for clocks of verifiers that run behind. */
const backdateMs = 10_000
const crlBackdateMs = 60_000
const crlLifeMs = 900_000

export function createAuthority(trustDomain: string, issuer: string) {
  let crls = 0n

  function newCa(above?: Ca): Ca {
    const { privateKey: key } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const spki = spkiOf(key)
    const keyId = keyIdOf(spki)
    const id = `${above ? 'ca' : 'root'}-${hash('sha256', spki).slice(0, 32)}`
    const name = caName(above ? 'issuing' : 'root', trustDomain, keyId)
    const self = { name, keyId, key }
    const der = signCertificate({
      signer: above ?? self,
      subject: name,
      serial: newSerial(),
      notBefore: above ? new Date(above.certificate.validFrom) : new Date(Date.now() - crlBackdateMs),
      notAfter: above ? new Date(above.certificate.validTo) : new Date(Date.now() + year),
      spki,
      extensions: caExtensions(trustDomain, spki, above),
    })
    const certificate = new X509Certificate(der)
    return {
      ...self,
      id,
      certificate,
      pem: encodePem('CERTIFICATE', der),
      above,
      crlUrl: `${issuer}/crl/${id}`,
      revoked: [],
    }
  }

  let roots = [newCa()]
  /** The CA that signs. Published ones may wait for their first use. */
  let current = newCa(roots[0])
  let issuing = [current]

  const live = (at: Date): Ca[] =>
    [...roots, ...issuing].filter(({ certificate }) => new Date(certificate.validTo) > at)

  return {
    /** PEM: the trust anchors of peers. */
    roots: (): string => roots.map(({ pem }) => pem).join(''),
    rootCertificates: (): X509Certificate[] => roots.map(({ certificate }) => certificate),
    issuingEnd: (): Date => new Date(current.certificate.validTo),

    sign({ spki, rsa, spiffeId, dnsNames, notAfter }: Leaf, now: Date): Signed {
      const ca = current
      const serial = newSerial()
      const notBefore = Math.max(now.getTime() - backdateMs, new Date(ca.certificate.validFrom).getTime())
      const { keyId: issuerKeyId, crlUrl } = ca
      const der = signCertificate({
        signer: ca,
        subject: emptyName,
        serial,
        notBefore: new Date(notBefore),
        notAfter,
        spki,
        extensions: leafExtensions({ spki, rsa, spiffeId, dnsNames, issuerKeyId, crlUrl }),
      })
      const chain = encodePem('CERTIFICATE', der) + ca.pem
      return { chain, der, serialNumber: serial.toString('hex'), caId: ca.id }
    },

    /** The issuing CA that signed it, unless that CA was withdrawn. */
    signedBy: (leaf: X509Certificate): Ca | undefined =>
      issuing.find(({ certificate }) => leaf.checkIssued(certificate) && leaf.verify(certificate.publicKey)),
    counts: (caId: string): boolean => issuing.some(({ id }) => id === caId),

    revoke(caId: string, revocation: Revocation): void {
      issuing.find(({ id }) => id === caId)?.revoked.push(revocation)
    },

    /** DER; undefined for an unknown or withdrawn CA. */
    crl(id: string, now: Date): Buffer | undefined {
      const ca = live(now).find((candidate) => candidate.id === id)
      if (!ca) return undefined
      crls++
      return signCrl({
        signer: ca,
        number: (BigInt(now.getTime()) << 16n) | (crls & 0xffffn),
        thisUpdate: new Date(now.getTime() - crlBackdateMs),
        nextUpdate: new Date(now.getTime() + crlLifeMs),
        // A certificate stays on the list until one CRL after its end (RFC 5280 section 3.3).
        revoked: ca.revoked.filter(({ until }) => until.getTime() + crlLifeMs > now.getTime()),
      })
    },

    /** Publishes another issuing CA, with `root` under another root. It signs after `use()`. */
    publish({ root }: { root: boolean }): { use(): void } {
      const above = root ? newCa() : roots.at(-1)
      if (root && above) roots.push(above)
      const next = newCa(above)
      issuing.push(next)
      return { use: () => void (current = next) }
    },

    /** Withdraws every issuing CA except the current one, by the CRL of its root; with `root`, also the other roots. */
    withdrawOlder({ root: withRoots }: { root: boolean }, now: Date): void {
      for (const ca of issuing) {
        const { serialNumber, validTo } = ca.certificate
        if (ca === current) continue
        ca.above?.revoked.push({
          serialNumber: serialNumber.toLowerCase(),
          at: now,
          until: new Date(validTo),
          reason: 'cACompromise',
        })
      }
      issuing = [current]
      if (withRoots) roots = roots.filter((root) => root === current.above)
    },
  }
}
