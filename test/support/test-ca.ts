import { type KeyObject, generateKeyPairSync, randomBytes } from 'node:crypto'
import { createIssuingCertificate, createRootCertificate } from '../../src/keys/ca-certificates.ts'
import { type CertificateIssuer, createIssuer, serialFrom } from '../../src/keys/certificate.ts'

export type KeyPair = { privateKey: KeyObject; publicKey: KeyObject }

export const ecPair = (namedCurve = 'P-256'): KeyPair => generateKeyPairSync('ec', { namedCurve })
export const rsaPair = (modulusLength = 2048): KeyPair => generateKeyPairSync('rsa', { modulusLength })
export const edPair = (): KeyPair => generateKeyPairSync('ed25519')

export const spkiOf = (key: KeyObject): Buffer => key.export({ type: 'spki', format: 'der' })

export const newSerial = (): Buffer => serialFrom(randomBytes(16))
export const secondsFrom = (at: Date, seconds: number): Date => new Date(at.getTime() + seconds * 1000)

export type TestCa = { trustDomain: string; root: CertificateIssuer; issuing: CertificateIssuer }

/** A root and an issuing CA, valid from an hour before `now` for a year and a month. */
export function testCa(
  now: Date,
  options: { trustDomain?: string; rootKeys?: KeyPair; issuingKeys?: KeyPair } = {},
): TestCa {
  const { trustDomain = 'example.org', rootKeys = ecPair(), issuingKeys = ecPair() } = options
  const notBefore = secondsFrom(now, -3600)
  const root = createIssuer({
    pem: createRootCertificate({
      trustDomain,
      keys: rootKeys,
      serial: newSerial(),
      notBefore,
      notAfter: secondsFrom(now, 365 * 86_400),
    }).pem,
    privateKey: rootKeys.privateKey,
  })
  const issuing = createIssuer({
    pem: createIssuingCertificate({
      trustDomain,
      root,
      publicKey: issuingKeys.publicKey,
      crlUrl: 'http://purser.test/crl/root',
      serial: newSerial(),
      notBefore: root.notBefore,
      notAfter: secondsFrom(now, 30 * 86_400),
    }).pem,
    privateKey: issuingKeys.privateKey,
  })
  return { trustDomain, root, issuing }
}
