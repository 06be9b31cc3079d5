/**
 * A cache of the keys that an issuer publishes. It reloads them before they are stale, so that proofs do not wait, and
 * when a proof names an unknown key. At most one reload runs at a time and one starts in ten seconds, so made-up key
 * ids cause no additional requests.
 */
import { refuse } from '../errors.ts'
import { OutboundError } from '../outbound/errors.ts'
import { type KeyList, type KeySet, createKeySet } from './key-set.ts'

/** What a source answers: the entries of a JWKS, and how long the issuer wants them kept. */
export type Published = { keys: readonly unknown[]; maxAgeSeconds?: number }

export type FetchedKeys = KeySet & {
  /** Asks the issuer now, unless that is being done. @throws OutboundError */
  refresh(): Promise<KeyList>
}

export type KeyEvents = {
  ignored?: (key: { kid: string; why: string }) => void
  /** Not one of the keys before is among those that were read now. */
  replaced?: () => void
  /** Nothing that was published can verify a proof. */
  none?: () => void
  failed?: (error: OutboundError) => void
}

type Parts = {
  /** @throws OutboundError, or a Refusal where a credential of ours can't be had */
  source: () => Promise<Published>
  /** Milliseconds, of a clock that is never set back. */
  clock: () => number
  /** For how long old keys count while the issuer can't be reached. */
  keepSeconds: number
  taken?: readonly string[] | undefined
  events?: KeyEvents
}

const cooldownMs = 10_000
const shortestSeconds = 60
const maxSeconds = 3_600
const usualSeconds = 900

type Kept = { list: KeyList; at: number; lifeMs: number }

export function createFetchedKeys({ source, clock, keepSeconds, taken, events = {} }: Parts): FetchedKeys {
  let kept: Kept | undefined
  let triedAt = Number.NEGATIVE_INFINITY
  let failing = false
  let flight: Promise<KeyList> | undefined

  async function read(): Promise<KeyList> {
    const at = clock()
    triedAt = at
    try {
      const { keys, maxAgeSeconds = usualSeconds } = await source()
      const list = await createKeySet(keys, taken)
      for (const key of list.ignored) events.ignored?.(key)
      if (list.usable === 0) events.none?.()
      const before = kept?.list.kids ?? new Set()
      if (before.size > 0 && ![...list.kids].some((kid) => before.has(kid))) events.replaced?.()
      const seconds = Math.min(Math.max(maxAgeSeconds, shortestSeconds), maxSeconds)
      kept = { list, at, lifeMs: seconds * 1000 }
      failing = false
      return list
    } catch (error) {
      failing = true
      if (error instanceof OutboundError) events.failed?.(error)
      throw error
    }
  }

  const refresh = (): Promise<KeyList> => {
    flight ??= read().finally(() => (flight = undefined))
    return flight
  }
  const inBackground = (): void => void refresh().catch(() => undefined)
  /** A question that is allowed now: one that runs already, or a new one after the pause. */
  const ask = (): Promise<KeyList> | undefined => flight ?? (clock() - triedAt >= cooldownMs ? refresh() : undefined)

  /** The keys that count now. Waits for the issuer only where there is nothing to go on with. */
  async function current(): Promise<KeyList> {
    const age = kept ? clock() - kept.at : Number.POSITIVE_INFINITY
    if (!kept || age > keepSeconds * 1000) return first()
    if (age > kept.lifeMs * 0.8 && !flight && clock() - triedAt >= cooldownMs) {
      // Old keys must not outlive their time because of a slow answer, nor stop everybody because of none.
      const { list } = kept
      if (age > kept.lifeMs && !failing) return refresh().catch(() => list)
      inBackground()
    }
    return kept.list
  }

  async function first(): Promise<KeyList> {
    const asked = ask()
    try {
      if (asked) return await asked
    } catch (error) {
      if (!(error instanceof OutboundError)) throw error
      throw unreachable(error.message)
    }
    throw unreachable('the last try failed a moment ago')
  }

  return {
    refresh,
    async find(kid, alg) {
      const list = await current()
      const known = await list.find(kid, alg)
      if (known || (kid !== undefined && list.kids.has(kid))) return known
      const asked = ask()
      if (!asked) return undefined
      const fresh = await asked.catch(() => undefined)
      return fresh?.find(kid, alg)
    },
  }
}

const unreachable = (detail: string): Error =>
  refuse('unavailable', { retryAfterSeconds: 10, explanation: { keys: detail } })
