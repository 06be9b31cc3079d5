/** The current bundle: read again as often as it says, and at once if it lacks a key. */
import { requestJson } from '../connection/request-json.ts'
import { type Bundle, readBundle } from './bundle.ts'
import { unlessAborted, withDeadline } from '../time/deadline.ts'
import type { Transport } from '../connection/transport.ts'
import { elapsedMs } from '../time/lifetime.ts'

export type BundleCache = ReturnType<typeof createBundleCache>

type Parts = {
  transport: Transport
  /** Receives each bundle, and whether it differs from the previous one. The first one does. */
  onBundle: (bundle: Bundle, isNew: boolean) => void
  closing: AbortSignal
  /** Measures the age of the bundle. */
  elapsed?: () => number
  random: () => number
}

const minPauseMs = 5_000
/** The longest wait for fresh keys while there are older ones. */
const maxWaitMs = 2_000
/** The first read happens after the start, so that it does not slow it down. */
const firstReadMs = 5_000

export function createBundleCache({ transport, onBundle, closing, random, elapsed = elapsedMs }: Parts) {
  let bundle: Bundle | undefined
  let readAt = -Infinity
  let triedAt = -Infinity
  let failedAt = -Infinity
  let pending: Promise<Bundle> | undefined
  let timer: NodeJS.Timeout | undefined

  async function read(): Promise<Bundle> {
    triedAt = elapsed()
    const request = { method: 'GET', path: '/bundle', maxBytes: 256 * 1024 } as const
    const { answer } = await requestJson(transport, request, 'its bundle', closing)
    const next = readBundle(answer.text)
    const previous = bundle
    bundle = next
    readAt = elapsed()
    onBundle(next, !previous || isOther(previous, next))
    return next
  }
  /** Reads the bundle now, without the limit of `refresh`. */
  const reread = (): Promise<Bundle> => (pending ??= read().finally(() => (pending = undefined)))

  function schedule(delayMs: number): void {
    if (closing.aborted) return
    timer = setTimeout(() => {
      reread()
        // Renewal reports that Purser is away. The cached bundle stays.
        .catch(() => undefined)
        .finally(() => schedule((bundle?.refreshSeconds ?? 300) * 1_000 * (0.9 + random() / 10)))
    }, delayMs).unref()
  }
  schedule(firstReadMs * (0.5 + random() / 2))

  return {
    current: () => bundle,
    /** The cached bundle unless it is stale; then a fresh one, or the stale one while Purser is away. */
    async get(signal?: AbortSignal): Promise<Bundle> {
      const isFresh = bundle && elapsed() - readAt < bundle.refreshSeconds * 1_000 * 2
      if (bundle && (isFresh || elapsed() - failedAt < minPauseMs)) return bundle
      try {
        if (!bundle) return await unlessAborted(signal, reread)
        return await withDeadline(maxWaitMs, [signal], 'reading the bundle', reread)
      } catch (error) {
        failedAt = elapsed()
        if (bundle && !signal?.aborted) return bundle
        throw error
      }
    },
    /** Reads the bundle now, but at most every few seconds, since untrusted tokens may name any key. */
    refresh(signal?: AbortSignal): Promise<Bundle> {
      if (bundle && elapsed() - triedAt < minPauseMs && !pending) return Promise.resolve(bundle)
      return unlessAborted(signal, reread)
    },
    reread,
    close: () => clearTimeout(timer),
  }
}

const isOther = (a: Bundle, b: Bundle): boolean =>
  a.sequence !== b.sequence || a.roots !== b.roots || [...a.jwtKeys.keys()].join() !== [...b.jwtKeys.keys()].join()
