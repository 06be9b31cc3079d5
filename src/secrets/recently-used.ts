/** Values by key, the most recently used ones up to a number of bytes. */
export type RecentlyUsed<T> = {
  get(key: string): T | undefined
  set(key: string, value: T): void
}

/** @param sizeOf the bytes that a value takes */
export function createRecentlyUsed<T>(maxBytes: number, sizeOf: (value: T) => number): RecentlyUsed<T> {
  // A Map keeps the order of insertion: a used value is inserted again, and the first value is evicted.
  const values = new Map<string, T>()
  let bytes = 0

  function remove(key: string): void {
    const value = values.get(key)
    if (value !== undefined) bytes -= sizeOf(value)
    values.delete(key)
  }

  return {
    get(key) {
      const value = values.get(key)
      if (value === undefined) return undefined
      values.delete(key)
      values.set(key, value)
      return value
    },
    set(key, value) {
      remove(key)
      values.set(key, value)
      bytes += sizeOf(value)
      for (const oldest of values.keys()) {
        if (bytes <= maxBytes) break
        remove(oldest)
      }
    },
  }
}
