/** What the server is verified against. */
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
  if (!address.tls) return choice('plain', 'nothing: plain http on loopback, as allowPlainLoopback says', [])
  if (option === 'system') return choice('system', 'the roots that come with Node.js (option ca)', [])
  if (option !== undefined && 'pem' in option)
    return choice({ pem: anchorsOf(option.pem, 'the option ca') }, 'the roots in the option ca', [])
  if (option !== undefined) {
    const given = typeof option.sha256 === 'string' ? [option.sha256] : option.sha256
    const sha256 = fingerprintsOf(given, 'the option ca')
    return choice({ sha256 }, `the root with SHA-256 ${sha256.join(' or ')} (option ca)`, [])
  }
  const file = env.PURSER_CA_FILE
  const prints = env.PURSER_CA_SHA256
  if (file && prints) {
    throw bad('PURSER_CA_FILE and PURSER_CA_SHA256 are both set; give one, so that it is clear which counts')
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
  if (!certificates) throw bad(`${where} holds no readable PEM certificate`)
  return certificates.map(String)
}

function fingerprintsOf(given: readonly string[], where: string): string[] {
  return given.length === 0
    ? fail(`${where} names no fingerprint`)
    : given.map(
        (one) => readFingerprint(one) ?? fail(`${where}: a fingerprint is 64 hex digits, SHA-256 of the root's DER`),
      )
}
function fail(why: string): never {
  throw bad(why)
}

/** What the server is verified against, as it is now. */
export type ServerTrust = {
  /**
   * The only anchors of verification. For a fingerprint the server is asked for its root first, on a connection that
   * nothing else happens on; the answer is kept.
   */
  anchors: (signal: AbortSignal) => Promise<Anchors>
  /**
   * The roots of the trust domain moved on, as the verified server said: a server under one of them moves with them. A
   * root that was given and never was one of the trust domain's, a company's, stays. A root that only a fingerprint was
   * given of is known by these as well.
   * @param roots PEM
   */
  follow: (roots: string) => void
}

export function createServerTrust({ basis, chosen }: Trust, address: Address, timeoutMs: number): ServerTrust {
  let known: Anchors | undefined =
    typeof basis === 'string'
      ? { pem: undefined, words: chosen }
      : 'pem' in basis
        ? { pem: basis.pem, words: chosen }
        : undefined
  /** The trust domain's own among the anchors; empty where the server's certificate is of somebody else's CA. */
  let own = new Set<string>()

  return {
    async anchors(signal) {
      if (known || typeof basis === 'string' || 'pem' in basis) return known ?? { pem: undefined, words: chosen }
      const root = await withDeadline(timeoutMs, [signal], `the first handshake with ${address.origin}`, (within) =>
        findAnchor(address, basis.sha256, within),
      )
      known = { pem: [root.toString()], words: chosen }
      return known
    },
    follow(roots) {
      const read = readCertificates(roots)
      if (!read) return
      if (!known && typeof basis === 'object' && 'sha256' in basis) {
        const pinned = read.filter((certificate) => basis.sha256.includes(fingerprintOf(certificate)))
        // One that is missing may be what the server is under now: that is for the server's chain to say.
        if (basis.sha256.every((print) => pinned.some((certificate) => fingerprintOf(certificate) === print)))
          known = { pem: pinned.map(String), words: chosen }
      }
      const next = read.map(String)
      if (!known?.pem) return
      if (own.size === 0) own = new Set(known.pem.filter((one) => next.includes(one)))
      if (own.size === 0) return
      known = { ...known, pem: [...known.pem.filter((one) => !own.has(one)), ...next] }
      own = new Set(next)
    },
  }
}
