/**
 * What was revoked, by Purser's CRLs: that of each issuing key whose certificates were met, and the root's, which names
 * issuing keys that were withdrawn. Nobody waits for one: a certificate that is revoked loses its connections when the
 * CRL that names it arrives. Where none can be had, the last one counts on, also beyond its end, and that is warned of.
 */
import type { X509Certificate } from 'node:crypto'
import { type CrlName, createCrlNames } from './crl-names.ts'
import { type Crl, readCrl } from './crl.ts'
import { DerError } from '../certificates/der.ts'
import { PurserError, wordsOf } from '../errors.ts'
import type { Transport } from '../connection/transport.ts'

/** What Purser says was revoked, as of its newest CRLs. */
export type Revoked = {
  /**
   * True once a CRL names the certificate or one above it.
   * @param chain leaf first; CRLs that aren't known yet are asked for, and until then the answer is without them
   */
  includes(chain: readonly X509Certificate[]): boolean
  /** Hears when there is news, so that open connections are looked at again. Answers how to stop hearing. */
  onNews(hear: () => void): () => void
}

type Parts = {
  transport: Pick<Transport, 'exchange'>
  /** What the verified server calls itself: a CRL of Purser's is under this URL. */
  issuer: (signal: AbortSignal) => Promise<string>
  /** PEM: the roots as they are now. */
  roots: () => string
  warn: (warning: string) => void
  closing: AbortSignal
  now: () => number
  random: () => number
  /** Purser serves a CRL for at most a minute before it is made anew. */
  pollMs?: number
}

type List = CrlName & { crl: Crl | undefined; usedAt: number; underWay: boolean; warned: boolean }

/** An issuer rotates once in days: more than a few at a time are nobody's. */
const maxLists = 64
const maxBytes = 4 * 1024 * 1024

/** `reread` asks for every list now. */
export function createRevoked(parts: Parts): Revoked & { reread: () => Promise<void> } {
  const { transport, issuer, roots, warn, closing, now, random, pollMs = 60_000 } = parts
  const lists = new Map<string, List>()
  const hearers = new Set<() => void>()
  const nameOf = createCrlNames(roots)
  let timer: NodeJS.Timeout | undefined

  function listOf(name: CrlName): List {
    const known = lists.get(name.key)
    if (known) {
      known.usedAt = now()
      return known
    }
    const made = { ...name, crl: undefined, usedAt: now(), underWay: false, warned: false }
    lists.set(name.key, made)
    if (lists.size > maxLists) {
      const [oldest] = [...lists.values()].toSorted((a, b) => a.usedAt - b.usedAt)
      if (oldest) lists.delete(oldest.key)
    }
    void refresh(made)
    timer ??= plan()
    return made
  }

  /** Rejects never. */
  async function refresh(list: List): Promise<void> {
    if (list.underWay || closing.aborted) return
    list.underWay = true
    try {
      const next = await fetchCrl(list)
      const before = list.crl
      // A replica that is behind has less to say; what has ended says nothing.
      if (before && next.number < before.number && before.nextUpdate.getTime() > now()) return
      list.crl = next
      list.warned = false
      if ([...next.serials].some((serial) => !before?.serials.has(serial))) hearers.forEach((hear) => hear())
    } catch (error) {
      onFailure(list, error)
    } finally {
      list.underWay = false
    }
  }

  async function fetchCrl({ url, path, issuer: certificate }: List): Promise<Crl> {
    if (url !== (await issuer(closing)) + path)
      throw new DerError(`${url} is no CRL of Purser's, so it is not asked for`)
    const { status, bytes } = await transport.exchange({ method: 'GET', path, maxBytes }, closing)
    if (status !== 200) throw new PurserError('unreachable', `${path} answered ${status}`)
    return readCrl(bytes, certificate)
  }

  /** Once, until it can be had again. That Purser is away is told elsewhere, and matters here once the last one has ended. */
  function onFailure(list: List, error: unknown): void {
    const stillGood = list.crl && list.crl.nextUpdate.getTime() > now()
    if (closing.aborted || list.warned || (stillGood && !(error instanceof DerError))) return
    list.warned = true
    const last = list.crl
      ? `the last one ended at ${list.crl.nextUpdate.toISOString()} and counts on`
      : 'there is none yet'
    const state = stillGood ? 'the last one counts on' : last
    warn(`the list of revoked certificates at ${list.path} can't be used, ${state}: ${wordsOf(error)}`)
  }

  const plan = (): NodeJS.Timeout => setTimeout(poll, pollMs * (0.9 + random() / 10)).unref()

  function poll(): void {
    for (const list of lists.values()) {
      if (Date.parse(list.issuer.validTo) <= now()) lists.delete(list.key)
      else void refresh(list)
    }
    timer = lists.size > 0 ? plan() : undefined
  }
  closing.addEventListener('abort', () => clearTimeout(timer), { once: true })

  return {
    includes(chain: readonly X509Certificate[]): boolean {
      // Each is asked for, whatever the first one says.
      const found = chain.map((certificate, n) => {
        const name = nameOf(certificate, chain[n + 1])
        return name !== undefined && listOf(name).crl?.serials.has(name.serial) === true
      })
      return found.includes(true)
    },
    onNews(hear) {
      hearers.add(hear)
      return () => void hearers.delete(hear)
    },
    async reread() {
      await Promise.all([...lists.values()].map(refresh))
    },
  }
}
