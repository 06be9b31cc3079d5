/**
 * The keys that an issuer publishes, cached so that a proof rarely waits for a fetch. They are reloaded before they get
 * stale, and when a proof names an unknown key. One fetch is pending at a time and ten seconds lie between two, so that
 * made-up key ids cause no further requests to the issuer.
 */
import { refuse } from '../errors.ts'
import { OutboundError } from '../outbound/errors.ts'
import { type KeyList, type KeySet, createKeySet } from './key-set.ts'

/** The entries of a JWKS, and how long the issuer allows to cache them. */
export type Published = { keys: readonly unknown[]; maxAgeSeconds?: number }

export type FetchedKeys = KeySet & {
  /** Fetches the keys now, or joins the pending fetch. @throws OutboundError */
  reload(): Promise<KeyList>
}

export type KeyEvents = {
  ignored?: (key: { kid: string; why: string }) => void
  /** None of the earlier keys is published any more. */
  replaced?: () => void
  /** No published key can verify a proof. */
  unusable?: () => void
  failed?: (error: OutboundError) => void
}

type Parts = {
  /** @throws OutboundError, or a Refusal where Purser lacks a credential of its own */
  source: () => Promise<Published>
  /** Milliseconds, of a clock that is never set back. */
  clock: () => number
  /** How long cached keys are accepted while the issuer is unreachable. */
  keepSeconds: number
  allowedAlgorithms?: readonly string[] | undefined
  events?: KeyEvents
}

const cooldownDuration = 10_000
const minAgeSeconds = 60
const maxAgeSeconds = 3_600
const defaultAgeSeconds = 900
/** The part of their age at which keys are reloaded in the background. */
const reloadAfter = 0.8

type Cache = { list: KeyList; fetchedAt: number; maxAgeMs: number }

export function createFetchedKeys({ source, clock, keepSeconds, allowedAlgorithms, events = {} }: Parts): FetchedKeys {
  let cache: Cache | undefined
  let lastAttempt = Number.NEGATIVE_INFINITY
  let lastFailed = false
  let pendingFetch: Promise<KeyList> | undefined

  async function fetchKeys(): Promise<KeyList> {
    const fetchedAt = clock()
    lastAttempt = fetchedAt
    try {
      const published = await source()
      const list = await createKeySet(published.keys, allowedAlgorithms)
      report(list)
      const age = Math.min(Math.max(published.maxAgeSeconds ?? defaultAgeSeconds, minAgeSeconds), maxAgeSeconds)
      cache = { list, fetchedAt, maxAgeMs: age * 1000 }
      lastFailed = false
      return list
    } catch (error) {
      lastFailed = true
      if (error instanceof OutboundError) events.failed?.(error)
      throw error
    }
  }

  function report(list: KeyList): void {
    for (const key of list.ignored) events.ignored?.(key)
    if (list.usable === 0) events.unusable?.()
    const before = cache?.list.kids ?? new Set()
    if (before.size > 0 && ![...list.kids].some((kid) => before.has(kid))) events.replaced?.()
  }

  const reload = (): Promise<KeyList> => (pendingFetch ??= fetchKeys().finally(() => (pendingFetch = undefined)))
  const hasCooledDown = (): boolean => clock() - lastAttempt >= cooldownDuration
  /** Joins the pending fetch, or begins one unless the last was a moment ago. */
  const tryReload = (): Promise<KeyList> | undefined => pendingFetch ?? (hasCooledDown() ? reload() : undefined)

  /** Waits for the issuer only where there are no keys to go on with. */
  async function currentKeys(): Promise<KeyList> {
    const age = cache ? clock() - cache.fetchedAt : Number.POSITIVE_INFINITY
    if (!cache || age > keepSeconds * 1000) return requireReload()
    const { list, maxAgeMs } = cache
    const isFresh = age <= maxAgeMs * reloadAfter
    if (isFresh || pendingFetch || !hasCooledDown()) return list
    // A slow issuer must not prolong the life of stale keys. One that fails must not delay every proof.
    if (age > maxAgeMs && !lastFailed) return reload().catch(() => list)
    reload().catch(() => undefined)
    return list
  }

  async function requireReload(): Promise<KeyList> {
    const reloaded = tryReload()
    if (!reloaded) throw unreachable('the last attempt failed a moment ago')
    return reloaded.catch((error) => {
      throw error instanceof OutboundError ? unreachable(error.message) : error
    })
  }

  return {
    reload,
    async find(kid, alg) {
      const list = await currentKeys()
      const key = await list.find(kid, alg)
      if (key || (kid !== undefined && list.kids.has(kid))) return key
      const reloaded = await tryReload()?.catch(() => undefined)
      return reloaded?.find(kid, alg)
    },
  }
}

const unreachable = (detail: string): Error =>
  refuse('unavailable', { retryAfterSeconds: 10, explanation: { keys: detail } })
