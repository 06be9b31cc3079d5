/** Results of look-ups that cannot change before they end: a bounded number, the least recently used leaves first. */
export type LookupCache<T> = {
  get(key: string, now: Date): T | undefined
  set(key: string, value: T, until: Date): void
}

const maxEntries = 10_000

export function createLookupCache<T>(): LookupCache<T> {
  // A Map iterates in the order of insertion, so its first key is the least recently used.
  const entries = new Map<string, { value: T; until: Date }>()
  return {
    get(key, now) {
      const entry = entries.get(key)
      if (!entry) return undefined
      entries.delete(key)
      if (entry.until <= now) return undefined
      entries.set(key, entry)
      return entry.value
    },
    set(key, value, until) {
      entries.set(key, { value, until })
      for (const oldest of entries.keys()) {
        if (entries.size <= maxEntries) break
        entries.delete(oldest)
      }
    },
  }
}
