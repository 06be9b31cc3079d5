/** The bundle as it is now, read again as often as it says, and at once where a key is missing in it. */
import { ask } from '../connection/ask.ts'
import { type Bundle, readBundle } from './bundle.ts'
import { unlessAborted, withDeadline } from '../time/deadline.ts'
import type { Transport } from '../connection/transport.ts'
import { elapsedMs } from '../time/lifetime.ts'

export type Bundles = {
  known(): Bundle | undefined
  /** The bundle that is known, unless it is older than it says it may be; then a fresh one, or the older one where Purser is away. */
  get(signal?: AbortSignal): Promise<Bundle>
  /** Asks now, but not more often than every few seconds: strangers may name any key. */
  refresh(signal?: AbortSignal): Promise<Bundle>
  /** Asks now, whenever it was asked before. */
  reread: () => Promise<Bundle>
  close(): void
}

type Parts = {
  transport: Transport
  /** Called with each bundle that is read, and whether it differs from the one before, or comes first. */
  onBundle: (bundle: Bundle, isNews: boolean) => void
  closing: AbortSignal
  /** For how old the bundle is; no setting of the clock moves it. */
  elapsed?: () => number
  random: () => number
}

const minPauseMs = 5_000
/** Whoever verifies something waits no longer than this while there are older keys. */
const patienceMs = 2_000
/** Soon after the start, but not in the way of it. */
const firstAfterMs = 5_000

export function createBundles({ transport, onBundle, closing, random, elapsed = elapsedMs }: Parts): Bundles {
  let bundle: Bundle | undefined
  let readAt = -Infinity
  let triedAt = -Infinity
  let failedAt = -Infinity
  let underWay: Promise<Bundle> | undefined
  let timer: NodeJS.Timeout | undefined

  async function read(): Promise<Bundle> {
    triedAt = elapsed()
    const request = { method: 'GET', path: '/bundle', maxBytes: 256 * 1024 } as const
    const { answer } = await ask(transport, request, 'its bundle', closing)
    const next = readBundle(answer.text)
    const before = bundle
    bundle = next
    readAt = elapsed()
    onBundle(next, !before || isOther(before, next))
    return next
  }
  const refreshNow = (): Promise<Bundle> => (underWay ??= read().finally(() => (underWay = undefined)))

  function plan(afterMs: number): void {
    if (closing.aborted) return
    timer = setTimeout(() => {
      refreshNow()
        // Away, as renewal will say; what is known is kept.
        .catch(() => undefined)
        .finally(() => plan((bundle?.refreshSeconds ?? 300) * 1_000 * (0.9 + random() / 10)))
    }, afterMs).unref()
  }
  plan(firstAfterMs * (0.5 + random() / 2))

  return {
    known: () => bundle,
    async get(signal) {
      const fresh = bundle && elapsed() - readAt < bundle.refreshSeconds * 1_000 * 2
      if (bundle && (fresh || elapsed() - failedAt < minPauseMs)) return bundle
      try {
        if (!bundle) return await unlessAborted(signal, refreshNow)
        return await withDeadline(patienceMs, [signal], 'reading the bundle', refreshNow)
      } catch (error) {
        failedAt = elapsed()
        if (bundle && !signal?.aborted) return bundle
        throw error
      }
    },
    refresh(signal) {
      if (bundle && elapsed() - triedAt < minPauseMs && !underWay) return Promise.resolve(bundle)
      return unlessAborted(signal, refreshNow)
    },
    reread: refreshNow,
    close: () => clearTimeout(timer),
  }
}

const isOther = (a: Bundle, b: Bundle): boolean =>
  a.sequence !== b.sequence || a.roots !== b.roots || [...a.jwtKeys.keys()].join() !== [...b.jwtKeys.keys()].join()
