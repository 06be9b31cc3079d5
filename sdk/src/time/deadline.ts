import { PurserError } from '../errors.ts'

/**
 * Runs `work` with a signal that fires at the deadline or with any of `signals`, and settles then even when `work`
 * doesn't. It keeps no process alive: see holding.ts. (`AbortSignal.any` and `.timeout` may be collected before they fire on some versions of Node 20.)
 * @param what for the message of the timeout: what took too long
 * @throws PurserError `timeout`, `aborted`, `closed`, or what `work` throws
 */
export async function withDeadline<T>(
  timeoutMs: number,
  signals: readonly (AbortSignal | undefined)[],
  what: string,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const controller = new AbortController()
  const timer = setTimeout(() => {
    controller.abort(new PurserError('timeout', `${what} took longer than ${timeoutMs} ms`))
  }, timeoutMs).unref()
  const listening: (() => void)[] = []
  for (const signal of signals) {
    if (!signal) continue
    const onAbort = (): void => controller.abort(abortedBy(signal))
    if (signal.aborted) onAbort()
    signal.addEventListener('abort', onAbort, { once: true })
    listening.push(() => signal.removeEventListener('abort', onAbort))
  }
  try {
    return await unlessAborted(controller.signal, () => work(controller.signal))
  } finally {
    clearTimeout(timer)
    for (const stop of listening) stop()
    // What `work` left behind ends with it.
    controller.abort(new PurserError('aborted', 'over'))
  }
}

/** @throws PurserError as soon as the signal fires; what `work` does afterwards is nobody's concern */
export function unlessAborted<T>(signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
  if (!signal) return work()
  return new Promise<T>((resolve, reject) => {
    const onAbort = (): void => reject(abortedBy(signal))
    if (signal.aborted) return onAbort()
    signal.addEventListener('abort', onAbort, { once: true })
    work()
      .then(resolve, reject)
      .finally(() => signal.removeEventListener('abort', onAbort))
  })
}

/** A wait that a signal cuts short. */
export const pause = (ms: number, signal: AbortSignal): Promise<void> =>
  new Promise((resolve, reject) => {
    const timer = setTimeout(done, ms).unref()
    function onAbort(): void {
      clearTimeout(timer)
      reject(abortedBy(signal))
    }
    function done(): void {
      signal.removeEventListener('abort', onAbort)
      resolve()
    }
    if (signal.aborted) onAbort()
    else signal.addEventListener('abort', onAbort, { once: true })
  })

export function abortedBy(signal: AbortSignal): PurserError {
  const reason: unknown = signal.reason
  if (reason instanceof PurserError) return reason
  return new PurserError('aborted', 'given up by its signal', { cause: reason })
}
