export type Recent<T> = {
  get: (key: string) => T | undefined
  set: (key: string, value: T) => void
}

/** What was used last, and no more than `most` of it: strangers can't make it grow. */
export function createRecent<T>(max: number): Recent<T> {
  // A Map iterates in the order of insertion.
  const kept = new Map<string, T>()

  function set(key: string, value: T): void {
    kept.delete(key)
    kept.set(key, value)
    if (kept.size <= max) return
    for (const oldest of kept.keys()) {
      kept.delete(oldest)
      return
    }
  }

  return {
    set,
    get(key) {
      const value = kept.get(key)
      if (value !== undefined) set(key, value)
      return value
    },
  }
}
