/** Runs one read at a time. Callers share a read that has not begun yet, since one that runs may miss what they look for. */
export function sharedRead<T>(read: () => Promise<T>): () => Promise<T> {
  let running: Promise<T> | undefined
  let queued: Promise<T> | undefined

  async function afterRunning(earlier: Promise<T>): Promise<T> {
    await earlier.catch(() => undefined)
    queued = undefined
    // Another caller may have begun a read in between.
    return next()
  }

  function next(): Promise<T> {
    if (running) return (queued ??= afterRunning(running))
    running = read().finally(() => (running = undefined))
    return running
  }
  return next
}
