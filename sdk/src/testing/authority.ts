/** A root and the issuing CA under it, in memory; what they signed, and what of it was revoked. */
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
/** Clocks of verifiers run behind. */
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
  let issuing = roots.map((root) => newCa(root))
  /** What signs: the last of what is published, unless it only waits for its first use. */
  let current = issuing[0]

  const newest = (): Ca => {
    if (!current) throw new Error('there is no issuing CA')
    return current
  }

  const live = (at: Date): Ca[] =>
    [...roots, ...issuing].filter(({ certificate }) => new Date(certificate.validTo) > at)

  return {
    /** PEM: what peers are to trust. */
    roots: (): string => roots.map(({ pem }) => pem).join(''),
    rootCertificates: (): X509Certificate[] => roots.map(({ certificate }) => certificate),
    issuingEnd: (): Date => new Date(newest().certificate.validTo),

    sign({ spki, rsa, spiffeId, dnsNames, notAfter }: Leaf, now: Date): Signed {
      const ca = newest()
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

    /** Whether one of the CAs that still count signed it. */
    signedBy: (leaf: X509Certificate): Ca | undefined =>
      issuing.find(({ certificate }) => leaf.checkIssued(certificate) && leaf.verify(certificate.publicKey)),
    counts: (caId: string): boolean => issuing.some(({ id }) => id === caId),

    revoke(caId: string, revocation: Revocation): void {
      issuing.find(({ id }) => id === caId)?.revoked.push(revocation)
    },

    /** DER; undefined for a key that there isn't, or that was withdrawn and says nothing any more. */
    crl(id: string, now: Date): Buffer | undefined {
      const ca = live(now).find((one) => one.id === id)
      if (!ca) return undefined
      crls++
      return signCrl({
        signer: ca,
        number: (BigInt(now.getTime()) << 16n) | (crls & 0xffffn),
        thisUpdate: new Date(now.getTime() - crlBackdateMs),
        nextUpdate: new Date(now.getTime() + crlLifeMs),
        // One CRL after its end a certificate is still in it (RFC 5280 section 3.3).
        revoked: ca.revoked.filter(({ until }) => until.getTime() + crlLifeMs > now.getTime()),
      })
    },

    /** Another issuing CA, or with `root` another root and one under it; they sign from `use` on. */
    publish({ root }: { root: boolean }): { use(): void } {
      const above = root ? newCa() : roots.at(-1)
      if (root && above) roots.push(above)
      const next = newCa(above)
      issuing.push(next)
      return {
        use: () => {
          current = next
        },
      }
    },

    /** Every issuing CA but what signs now counts no more, as the CRL of its root says; with `root` nor does another root. */
    withdrawOlder({ root: withRoots }: { root: boolean }, now: Date): void {
      const kept = newest()
      for (const ca of issuing) {
        const { serialNumber, validTo } = ca.certificate
        if (ca === kept) continue
        ca.above?.revoked.push({
          serialNumber: serialNumber.toLowerCase(),
          at: now,
          until: new Date(validTo),
          reason: 'cACompromise',
        })
      }
      issuing = [kept]
      if (withRoots) roots = roots.filter((root) => root === kept.above)
    },
  }
}
