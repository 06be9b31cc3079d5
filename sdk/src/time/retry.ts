/** How long what goes on by itself waits after a failure: longer each time, and never all clients at once. */
import { PurserError, isAway } from '../errors.ts'

/** From the first wait to the longest. A refusal lasts until somebody does something. */
const waits = { away: { shortest: 500, max: 30_000 }, refused: { shortest: 5_000, max: 60_000 } }
/** The longest that Retry-After counts. */
const maxRequestedMs = 60_000

/** @param failures in a row, this one too */
export function waitAfter(error: unknown, failures: number, random: () => number): number {
  const { shortest, max } = isAway(error) || !(error instanceof PurserError) ? waits.away : waits.refused
  const wait = Math.min(shortest * 2 ** Math.min(failures - 1, 16), max) * (0.5 + random() / 2)
  const asked = error instanceof PurserError ? (error.retryAfterSeconds ?? 0) * 1_000 : 0
  return Math.max(wait, Math.min(asked, maxRequestedMs))
}

/** Keeps no process alive, and rejects never. */
export const restFor = (ms: number, signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer)
      signal.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, ms).unref()
    if (signal.aborted) done()
    else signal.addEventListener('abort', done, { once: true })
  })
