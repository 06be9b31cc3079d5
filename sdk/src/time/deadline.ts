import { PurserError } from '../errors.ts'

/**
 * Runs `work` with a signal that fires at the deadline or with any of `signals`, and settles then even if `work` does not.
 * It does not keep the process alive: see keep-alive.ts. (On some versions of Node 20, `AbortSignal.any` and `.timeout` may
 * be collected before they fire.)
 * @param what the operation, for the message of the timeout
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
  const removals: (() => void)[] = []
  for (const signal of signals) {
    if (!signal) continue
    const onAbort = (): void => controller.abort(abortedBy(signal))
    if (signal.aborted) onAbort()
    signal.addEventListener('abort', onAbort, { once: true })
    removals.push(() => signal.removeEventListener('abort', onAbort))
  }
  try {
    return await unlessAborted(controller.signal, () => work(controller.signal))
  } finally {
    clearTimeout(timer)
    for (const remove of removals) remove()
    // Ends what `work` left behind.
    controller.abort(new PurserError('aborted', 'finished'))
  }
}

/** @throws PurserError as soon as the signal fires; the outcome of `work` is ignored then */
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

/** @throws PurserError as soon as the signal fires */
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
  return new PurserError('aborted', 'aborted by its signal', { cause: reason })
}
