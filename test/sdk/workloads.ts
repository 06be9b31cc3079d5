/** Workloads of a trust domain that lives in the test: certificates of every kind, good and bad, and a `purser.tls` of each. */
import { type X509Certificate, X509Certificate as Certificate } from 'node:crypto'
import { createCsr } from '@purser/sdk/csr'
import { onTestFinished } from 'vitest'
import type { X509 } from '../../sdk/src/purser.ts'
import type { Source } from '../../sdk/src/source.ts'
import { type Tls, createTls } from '../../sdk/src/tls/tls.ts'
import { readCsr } from '../../src/issue/csr.ts'
import { createX509Issuer } from '../../src/issue/x509-svid.ts'
import { type TestCa, ecPair, newSerial, secondsFrom, testCa } from '../support/test-ca.ts'

export const idOf = (name: string): string => `spiffe://example.org/lab/${name}`

/** Long ago enough that what it issued may be over. */
export const createCa = (trustDomain = 'example.org'): TestCa => testCa(secondsFrom(new Date(), -7200), { trustDomain })

type Wish = { spiffeId?: string; now?: Date; notAfter?: Date; roots?: string }

/** As `purser.x509` would be. */
export function issue(ca: TestCa, wish: Wish = {}): X509 {
  const { privateKey } = ecPair()
  const { spiffeId = idOf('web'), now = new Date(), notAfter = secondsFrom(now, 3600), roots = ca.root.pem } = wish
  const issuer = createX509Issuer({ trustDomain: ca.trustDomain, issuer: ca.issuing, count: () => 1 })
  const key = readCsr(createCsr(privateKey))
  const leaf = issuer.issueSvid({ key, serial: newSerial(), now, notAfter, spiffeId, dnsNames: [] })
  return {
    certificateChain: leaf.pem + ca.issuing.pem,
    privateKey: String(privateKey.export({ type: 'pkcs8', format: 'pem' })),
    trustBundle: roots,
    spiffeId,
    serialNumber: leaf.serialNumber,
    notAfter: leaf.notAfter,
    renewAfter: notAfter,
  }
}

export type Workload = {
  tls: Tls
  warnings: string[]
  x509(): X509
  /** A new certificate, or other roots, from now on. */
  become(next: X509): void
  /** A CRL names these from now on. */
  revoke(...serialNumbers: string[]): void
  close(): void
}

export function createWorkload(first: X509, { trustDomain = 'example.org', now = Date.now } = {}): Workload {
  const controller = new AbortController()
  const hearers = new Set<() => void>()
  const news = new Set<() => void>()
  const revoked = new Set<string>()
  const warnings: string[] = []
  let current = first

  const hear = (all: Set<() => void>) => (one: () => void) => {
    all.add(one)
    return () => void all.delete(one)
  }
  const serialOf = (certificate: X509Certificate): string => certificate.serialNumber.toLowerCase()
  const source: Source = {
    trustDomain,
    identity() {
      if (controller.signal.aborted) throw controller.signal.reason
      return current
    },
    onIdentity: hear(hearers),
    revoked: { includes: (chain) => chain.some((one) => revoked.has(serialOf(one))), onNews: hear(news) },
    closing: controller.signal,
  }
  const close = (): void => controller.abort(new Error('closed'))
  onTestFinished(close)
  return {
    tls: createTls({ source, warn: (warning) => warnings.push(warning), now }),
    warnings,
    x509: () => current,
    become(next) {
      current = next
      hearers.forEach((one) => one())
    },
    revoke(...serialNumbers) {
      for (const one of serialNumbers) revoked.add(one)
      news.forEach((one) => one())
    },
    close,
  }
}

export const leafOf = ({ certificateChain }: X509): X509Certificate => new Certificate(certificateChain)
