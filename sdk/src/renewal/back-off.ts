/** How long nothing is asked after a failure: for renewal, and for whoever asks for a token meanwhile. */
import { PurserError, isAway } from '../errors.ts'
import type { Held } from './held-credentials.ts'

export type BackOff = {
  /** Milliseconds until the next try; 0 or less where it may be now. */
  leftMs: () => number
  /** Why nobody should ask Purser now, whatever for; undefined where nothing speaks against it. */
  why: () => PurserError | undefined
  failed: (error: unknown) => void
  /** Purser answered as it should: it is there again. */
  reached(): void
  /** What was due came. */
  renewed: () => void
}

type Parts = { held: Pick<Held, 'leftMs'>; elapsed: () => number; random: () => number }

/** From the first wait to the longest. Purser may be back any moment; a refusal lasts until somebody does something. */
const waits = { away: { shortest: 1_000, longest: 30_000 }, refused: { shortest: 5_000, longest: 60_000 } }
/** A server whose credentials are due again as they come must not be asked without end. */
const betweenMs = 1_000
/** The longest that Retry-After counts where nothing is left to lose by it. */
const longestAskedMs = 60_000

export function createBackOff({ held, elapsed, random }: Parts): BackOff {
  let failures = 0
  /** By `elapsed`. */
  let since = -Infinity
  let until = -Infinity
  let last: PurserError | undefined

  /** Exponential, with jitter; never so long that what is held ends meanwhile though Purser is back. */
  function waitFor(error: unknown): number {
    const { shortest, longest } = isRefusal(error) ? waits.refused : waits.away
    const left = held.leftMs()
    const most = Math.min(longest, left > 0 ? Math.max(left / 5, shortest) : Math.max(longest / 3, shortest))
    const wait = Math.min(shortest * 2 ** Math.min(failures - 1, 16), most) * (0.5 + random() / 2)
    const asked = error instanceof PurserError ? (error.retryAfterSeconds ?? 0) * 1_000 : 0
    return Math.max(wait, Math.min(asked, left > 0 && Number.isFinite(left) ? left / 2 : longestAskedMs))
  }

  /** A machine may have slept meanwhile, and what was held be over. */
  const end = (): number => (held.leftMs() > 0 ? until : Math.min(until, since + longestAskedMs))
  const leftMs = (): number => end() - elapsed()
  return {
    leftMs,
    why: () => (leftMs() > 0 && isAway(last) ? last : undefined),
    failed(error) {
      failures++
      last = error instanceof PurserError ? error : undefined
      since = elapsed()
      until = since + waitFor(error)
    },
    reached() {
      if (!isAway(last)) return
      failures = 0
      last = undefined
      until = -Infinity
    },
    renewed() {
      failures = 0
      last = undefined
      since = elapsed()
      until = since + betweenMs
    },
  }
}

const isRefusal = (error: unknown): boolean =>
  error instanceof PurserError && error.status !== undefined && error.status < 500 && !isAway(error)
