/** The trust anchors of the server: how they are chosen, and how they follow the trust domain's roots. */
import { readFile } from 'node:fs/promises'
import type { Address } from './address.ts'
import { fingerprintOf, readCertificates, readFingerprint } from '../certificates/certificates.ts'
import { withDeadline } from '../time/deadline.ts'
import { PurserError } from '../errors.ts'
import { type Anchors, findAnchor } from './handshake.ts'
import type { CaOption } from '../types/options.ts'
import type { Choice } from '../types/purser.ts'

type Basis = { pem: string[] } | { sha256: string[] } | 'system' | 'plain'
export type Trust = Choice & { basis: Basis }

const bad = (why: string): PurserError => new PurserError('bad_options', why)

/** The order is: the option, PURSER_CA_FILE, PURSER_CA_SHA256, the roots that come with Node.js. */
export async function chooseTrust(
  address: Address,
  option: CaOption | undefined,
  env: Readonly<Record<string, string | undefined>>,
): Promise<Trust> {
  const choice = (basis: Basis, chosen: string, dismissed: string[]): Trust => ({
    about: 'trust',
    basis,
    chosen,
    dismissed,
  })
  if (!address.tls) return choice('plain', 'none: plain http on loopback (allowPlainLoopback)', [])
  if (option === 'system') return choice('system', 'the roots that come with Node.js (option ca)', [])
  if (option !== undefined && 'pem' in option)
    return choice({ pem: anchorsOf(option.pem, 'the option ca') }, 'the roots in the option ca', [])
  if (option !== undefined) {
    const texts = typeof option.sha256 === 'string' ? [option.sha256] : option.sha256
    const sha256 = fingerprintsOf(texts, 'the option ca')
    return choice({ sha256 }, `the root with SHA-256 ${sha256.join(' or ')} (option ca)`, [])
  }
  const file = env.PURSER_CA_FILE
  const prints = env.PURSER_CA_SHA256
  if (file && prints) {
    throw bad('PURSER_CA_FILE and PURSER_CA_SHA256 are both set; set only one')
  }
  const dismissed = ['the option ca is not given']
  if (file !== undefined && file !== '') {
    const read = await readFile(file, 'utf8').catch((error: unknown) => {
      throw new PurserError('bad_options', `PURSER_CA_FILE: ${file} can't be read`, { cause: error })
    })
    return choice(
      { pem: anchorsOf(read, `PURSER_CA_FILE (${file})`) },
      `the roots in ${file} (PURSER_CA_FILE)`,
      dismissed,
    )
  }
  dismissed.push('PURSER_CA_FILE is not set')
  if (prints !== undefined && prints !== '') {
    const sha256 = fingerprintsOf(prints.split(/[\s,]+/).filter(Boolean), 'PURSER_CA_SHA256')
    return choice({ sha256 }, `the root with SHA-256 ${sha256.join(' or ')} (PURSER_CA_SHA256)`, dismissed)
  }
  return choice('system', 'the roots that come with Node.js', [...dismissed, 'PURSER_CA_SHA256 is not set'])
}

function anchorsOf(pem: unknown, where: string): string[] {
  const certificates = typeof pem === 'string' ? readCertificates(pem) : undefined
  if (!certificates) throw bad(`${where} contains no readable PEM certificate`)
  return certificates.map(String)
}

function fingerprintsOf(texts: readonly string[], where: string): string[] {
  return texts.length === 0
    ? fail(`${where} contains no fingerprint`)
    : texts.map(
        (text) => readFingerprint(text) ?? fail(`${where}: a fingerprint is 64 hex digits, SHA-256 of the root's DER`),
      )
}
function fail(why: string): never {
  throw bad(why)
}

/** The current trust anchors of the server. */
export function createServerTrust({ basis, chosen }: Trust, address: Address, timeoutMs: number) {
  let current: Anchors | undefined =
    typeof basis === 'string'
      ? { pem: undefined, words: chosen }
      : 'pem' in basis
        ? { pem: basis.pem, words: chosen }
        : undefined
  /** The anchors that are roots of the trust domain; empty if another CA issued the server's certificate. */
  let ownRoots = new Set<string>()

  return {
    /**
     * The only anchors of verification. With a fingerprint, the first call gets the root from the server, on a connection
     * that serves no other purpose.
     */
    anchors: async (signal: AbortSignal): Promise<Anchors> => {
      if (current || typeof basis === 'string' || 'pem' in basis) return current ?? { pem: undefined, words: chosen }
      const root = await withDeadline(timeoutMs, [signal], `the first handshake with ${address.origin}`, (within) =>
        findAnchor(address, basis.sha256, within),
      )
      current = { pem: [root.toString()], words: chosen }
      return current
    },
    /**
     * Replaces anchors that are roots of the trust domain by its new roots, as the verified server named them. Other anchors,
     * such as a company's root, stay. If only a fingerprint was configured, the roots may contain its certificate.
     * @param roots PEM
     */
    follow: (roots: string): void => {
      const certificates = readCertificates(roots)
      if (!certificates) return
      if (!current && typeof basis === 'object' && 'sha256' in basis) {
        const pinned = certificates.filter((certificate) => basis.sha256.includes(fingerprintOf(certificate)))
        // With a missing certificate, the server's chain decides: it may be the server's current root.
        if (basis.sha256.every((print) => pinned.some((certificate) => fingerprintOf(certificate) === print)))
          current = { pem: pinned.map(String), words: chosen }
      }
      const next = certificates.map(String)
      if (!current?.pem) return
      if (ownRoots.size === 0) ownRoots = new Set(current.pem.filter((pem) => next.includes(pem)))
      if (ownRoots.size === 0) return
      current = { ...current, pem: [...current.pem.filter((pem) => !ownRoots.has(pem)), ...next] }
      ownRoots = new Set(next)
    },
  }
}
