/** What was looked up lately and can't change before its end: the last used, a bounded number. */
export type Recent<T> = {
  get(key: string, now: Date): T | undefined
  keep(key: string, value: T, until: Date): void
}

const max = 10_000

export function createRecent<T>(): Recent<T> {
  // A Map keeps the order of insertion: the first one is the one to go.
  const kept = new Map<string, { value: T; until: Date }>()
  return {
    get(key, now) {
      const found = kept.get(key)
      if (!found) return undefined
      kept.delete(key)
      if (found.until <= now) return undefined
      kept.set(key, found)
      return found.value
    },
    keep(key, value, until) {
      kept.set(key, { value, until })
      for (const oldest of kept.keys()) {
        if (kept.size <= max) break
        kept.delete(oldest)
      }
    },
  }
}
