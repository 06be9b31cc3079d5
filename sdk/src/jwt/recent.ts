/** A cache of the `max` most recently used values, so that untrusted input can't make it grow. */
export function createRecent<T>(max: number) {
  // A Map iterates in the order of insertion.
  const values = new Map<string, T>()

  function set(key: string, value: T): void {
    values.delete(key)
    values.set(key, value)
    if (values.size <= max) return
    for (const oldest of values.keys()) {
      values.delete(oldest)
      return
    }
  }

  return {
    set,
    get(key: string): T | undefined {
      const value = values.get(key)
      if (value !== undefined) set(key, value)
      return value
    },
  }
}
