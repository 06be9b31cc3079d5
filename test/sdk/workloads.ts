/** Workloads of a trust domain inside the test: valid and invalid certificates, and a `purser.tls` of each. */
import { X509Certificate } from 'node:crypto'
import type { Purser } from '@purser/sdk'
import { onTestFinished } from 'vitest'
import type { IdentitySource } from '../../sdk/src/identity/source.ts'
import { createTls } from '../../sdk/src/tls/tls.ts'
import type { X509 } from '../../sdk/src/types/purser.ts'
import { contextPrimitive, sequence } from '../../src/keys/asn1.ts'
import { emptyName, keyIdOf } from '../../src/keys/ca-certificates.ts'
import { buildCertificate } from '../../src/keys/certificate.ts'
import {
  basicConstraints,
  crlDistributionPoint,
  extendedKeyUsage,
  extension,
  extensionOid,
  keyUsage,
  subjectKeyIdentifier,
} from '../../src/keys/extensions.ts'
import { type TestCa, ecPair, newSerial, secondsFrom, spkiOf, testCa } from '../support/test-ca.ts'

export const idOf = (name: string): string => `spiffe://example.org/lab/${name}`

/** Old enough to have issued certificates that have ended. */
export const createCa = (trustDomain = 'example.org'): TestCa => testCa(secondsFrom(new Date(), -7200), { trustDomain })

export type IssueOptions = {
  uris?: string[]
  dnsNames?: string[]
  notBefore?: Date
  notAfter?: Date
  /** The roots that its holder trusts. */
  roots?: string
  crlUrl?: string
  isCa?: boolean
  usage?: ReturnType<typeof keyUsage>
}

/** As `purser.x509`; with options also as it never is. */
export function issue(ca: TestCa, spiffeId = idOf('web'), options: IssueOptions = {}): X509 {
  const { privateKey, publicKey } = ecPair()
  const { uris = [spiffeId], dnsNames = [], roots = ca.root.pem, isCa = false, crlUrl } = options
  const { notBefore = secondsFrom(new Date(), -10), notAfter = secondsFrom(new Date(), 3600) } = options
  const serial = newSerial()
  const spki = spkiOf(publicKey)
  const names = [
    ...uris.map((uri) => contextPrimitive(6, Buffer.from(uri))),
    ...dnsNames.map((name) => contextPrimitive(2, Buffer.from(name))),
  ]
  const { pem } = buildCertificate({
    serial,
    issuerName: ca.issuing.name,
    subjectName: emptyName(),
    notBefore,
    notAfter,
    spki,
    extensions: [
      basicConstraints(isCa),
      options.usage ?? keyUsage('digitalSignature'),
      extendedKeyUsage('serverAuth', 'clientAuth'),
      extension(extensionOid.subjectAltName, true, sequence(names)),
      subjectKeyIdentifier(keyIdOf(spki)),
      ca.issuing.authorityKeyIdentifier,
      ...(crlUrl === undefined ? [] : [crlDistributionPoint(crlUrl)]),
    ],
    signer: ca.issuing.signer,
  })
  return {
    certificateChain: pem + ca.issuing.pem,
    privateKey: String(privateKey.export({ type: 'pkcs8', format: 'pem' })),
    trustBundle: roots,
    spiffeId,
    serialNumber: serial.toString('hex'),
    notAfter,
    renewAfter: notAfter,
  }
}

export type Workload = Pick<Purser, 'tls' | 'on' | 'x509'> & {
  source: IdentitySource
  warnings: string[]
  /** Sets a new certificate or other roots from now on. */
  become: (next: X509) => void
  /** Ends the certificate without a renewal. */
  lapse: () => void
  /** The serial numbers in its CRLs. An addition notifies no listener. */
  revoked: Set<string>
  /** Adds a serial number to the CRLs and notifies the listeners. */
  revoke: (serialNumber: string) => void
  close: () => void
}

type Settings = { trustDomain?: string; now?: () => number; revoked?: IdentitySource['revoked'] }

const hearing = (all: Set<() => void>) => (listener: () => void) => {
  all.add(listener)
  return () => void all.delete(listener)
}

export function createWorkload(first: X509, settings: Settings = {}): Workload {
  const { trustDomain = 'example.org', now = Date.now } = settings
  const controller = new AbortController()
  const hearers = new Set<() => void>()
  const news = new Set<() => void>()
  const revoked = new Set<string>()
  const warnings: string[] = []
  let current: X509 | undefined = first

  const fromCrls: IdentitySource['revoked'] = settings.revoked ?? {
    includes: (chain) => chain.some((certificate) => revoked.has(certificate.serialNumber.toLowerCase())),
    onNews: hearing(news),
  }
  const source: IdentitySource = {
    trustDomain,
    identity() {
      if (controller.signal.aborted) throw controller.signal.reason
      if (!current) throw new Error('the certificate ended')
      return current
    },
    onIdentity: hearing(hearers),
    revoked: fromCrls,
    closing: controller.signal,
  }
  const close = (): void => controller.abort(new Error('closed'))
  onTestFinished(close)
  return {
    tls: createTls({ source, warn: (warning) => warnings.push(warning), now }),
    source,
    warnings,
    get x509() {
      return source.identity()
    },
    on: (_, listener) => hearing(hearers)(() => Reflect.apply(listener, undefined, [{}])),
    become(next) {
      current = next
      hearers.forEach((hearer) => hearer())
    },
    lapse() {
      current = undefined
      hearers.forEach((hearer) => hearer())
    },
    revoked,
    revoke(serialNumber) {
      revoked.add(serialNumber)
      news.forEach((listener) => listener())
    },
    close,
  }
}

export const leafOf = ({ certificateChain }: X509): X509Certificate => new X509Certificate(certificateChain)
