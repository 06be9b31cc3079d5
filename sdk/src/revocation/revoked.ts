/**
 * Revoked certificates, by Purser's CRLs: those of the issuing keys whose certificates were seen, and the root's, which
 * lists withdrawn issuing keys. No connection waits for a CRL: a revoked certificate loses its connections when the CRL
 * arrives. If no CRL is available, the last one stays in use even after its end, with a warning.
 */
import type { X509Certificate } from 'node:crypto'
import { type CrlName, createCrlNames } from './crl-names.ts'
import { type Crl, readCrl } from './crl.ts'
import { addListener } from '../events/listeners.ts'
import { DerError } from '../certificates/der.ts'
import { PurserError, wordsOf } from '../errors.ts'
import type { Transport } from '../connection/transport.ts'

export type RevokedCertificates = {
  /**
   * Whether a CRL lists the certificate or an issuer above it.
   * @param chain leaf first; fetches missing CRLs in the background, and answers without them meanwhile
   */
  includes(chain: readonly X509Certificate[]): boolean
  /** Calls the listener when a CRL lists more, to check open connections again. @returns a function that removes it */
  onNews(listener: () => void): () => void
}

type Parts = {
  transport: Pick<Transport, 'exchange'>
  /** The issuer URL of the verified server: CRLs of Purser are below it. */
  issuer: (signal: AbortSignal) => Promise<string>
  /** PEM: the current roots. */
  roots: () => string
  warn: (warning: string) => void
  closing: AbortSignal
  now: () => number
  random: () => number
  /** Purser renews a CRL after at most a minute. */
  pollMs?: number
  /** Lists that were used longest ago are forgotten beyond it. */
  maxLists?: number
}

type List = CrlName & {
  crl: Crl | undefined
  /** The entity tag of `crl`. */
  tag?: string | undefined
  usedAt: number
  isPending: boolean
  hasWarned: boolean
}

/** A CRL has 64 shards. Issuers rotate within days, so honest certificates need the lists of a few of them. */
const defaultMaxLists = 512
const maxBytes = 4 * 1024 * 1024

/** `reread` fetches every list now. */
export function createRevokedCertificates(parts: Parts): RevokedCertificates & { reread: () => Promise<void> } {
  const { transport, issuer, roots, warn, closing, now, random, pollMs = 60_000, maxLists = defaultMaxLists } = parts
  const lists = new Map<string, List>()
  const listeners = new Set<() => void>()
  const nameOf = createCrlNames(roots)
  let timer: NodeJS.Timeout | undefined

  function listOf(name: CrlName): List {
    const current = lists.get(name.key)
    if (current) {
      current.usedAt = now()
      return current
    }
    const list = { ...name, crl: undefined, usedAt: now(), isPending: false, hasWarned: false }
    lists.set(name.key, list)
    if (lists.size > maxLists) {
      const [oldest] = [...lists.values()].toSorted((a, b) => a.usedAt - b.usedAt)
      if (oldest) lists.delete(oldest.key)
    }
    void refresh(list)
    timer ??= schedule()
    return list
  }

  /** Never rejects. */
  async function refresh(list: List): Promise<void> {
    if (list.isPending || closing.aborted) return
    list.isPending = true
    try {
      const answer = await fetchCrl(list)
      if (!answer) {
        list.hasWarned = false
        return
      }
      const { crl: next, tag } = answer
      const current = list.crl
      // A replica that lags behind sends an older CRL, which counts only if the current one has ended.
      if (current && next.number < current.number && current.nextUpdate.getTime() > now()) return
      list.crl = next
      list.tag = tag
      list.hasWarned = false
      if ([...next.serials].some((serial) => !current?.serials.has(serial))) listeners.forEach((listener) => listener())
    } catch (error) {
      onFailure(list, error)
    } finally {
      list.isPending = false
    }
  }

  /** Nothing if the list's CRL is still current. */
  async function fetchCrl({
    url,
    path,
    issuer: certificate,
    tag,
  }: List): Promise<{ crl: Crl; tag?: string } | undefined> {
    if (url !== (await issuer(closing)) + path)
      throw new DerError(`${url} is not below Purser's issuer URL, so it is not fetched`)
    const request = { method: 'GET', path, maxBytes, ...(tag !== undefined && { ifNoneMatch: tag }) } as const
    const { status, headers, bytes } = await transport.exchange(request, closing)
    if (status === 304) return undefined
    if (status !== 200) throw new PurserError('unreachable', `${path} answered ${status}`)
    return { crl: readCrl(bytes, certificate, url), ...(headers.etag !== undefined && { tag: headers.etag }) }
  }

  /** Warns once until a fetch succeeds. While the last CRL is valid, it is enough that renewal reports an absent Purser. */
  function onFailure(list: List, error: unknown): void {
    const isValid = list.crl && list.crl.nextUpdate.getTime() > now()
    if (closing.aborted || list.hasWarned || (isValid && !(error instanceof DerError))) return
    list.hasWarned = true
    const last = list.crl
      ? `the last one ended at ${list.crl.nextUpdate.toISOString()} and stays in use`
      : 'there is no earlier one'
    const state = isValid ? 'the last one stays in use' : last
    warn(`the list of revoked certificates at ${list.path} can't be used, ${state}: ${wordsOf(error)}`)
  }

  const schedule = (): NodeJS.Timeout => setTimeout(poll, pollMs * (0.9 + random() / 10)).unref()

  function poll(): void {
    for (const list of lists.values()) {
      if (Date.parse(list.issuer.validTo) <= now()) lists.delete(list.key)
      else void refresh(list)
    }
    timer = lists.size > 0 ? schedule() : undefined
  }
  closing.addEventListener('abort', () => clearTimeout(timer), { once: true })

  return {
    includes(chain: readonly X509Certificate[]): boolean {
      // No shortcut: every list is fetched.
      const verdicts = chain.map((certificate, n) => {
        const name = nameOf(certificate, chain[n + 1])
        return name !== undefined && listOf(name).crl?.serials.has(name.serial) === true
      })
      return verdicts.includes(true)
    },
    onNews: (listener) => addListener(listeners, listener),
    async reread() {
      await Promise.all([...lists.values()].map(refresh))
    },
  }
}
