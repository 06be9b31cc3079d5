type Bucket = { tokens: number; at: number }

/**
 * Token buckets by name, in memory and bounded in number.
 *
 * Why not rate-limiter-flexible: a promise and a timer for each name cost more than the decision, and its memory store does
 * not bound the number of names, which anonymous callers choose. A bucket is two numbers.
 * @param rules.burst tokens of a full bucket, at least one
 * @param rules.max number of buckets
 * @param now milliseconds; a clock that is set back refills nothing
 */
export function createBuckets(rules: { perSecond: number; burst: number; max: number }, now: () => number) {
  const { perSecond, max } = rules
  const burst = Math.max(1, rules.burst)
  // The order of insertion is that of the last use. A name that was evicted starts again with a full bucket.
  const buckets = new Map<string, Bucket>()
  return {
    /** Takes one token. @returns 0, or the seconds until a token is available */
    take(name: string): number {
      const at = now()
      const bucket = buckets.get(name) ?? { tokens: burst, at }
      buckets.delete(name)
      buckets.set(name, bucket)
      if (buckets.size > max) evictOldest(buckets)
      const elapsed = Math.max(0, at - bucket.at) / 1000
      bucket.tokens = Math.min(burst, bucket.tokens + elapsed * perSecond)
      bucket.at = at
      if (bucket.tokens < 1) return (1 - bucket.tokens) / perSecond
      bucket.tokens -= 1
      return 0
    },
    /** Returns a token that was taken but not used. */
    giveBack(name: string): void {
      const bucket = buckets.get(name)
      if (bucket) bucket.tokens = Math.min(burst, bucket.tokens + 1)
    },
  }
}

export function evictOldest(map: Map<string, unknown> | Set<string>): void {
  for (const oldest of map.keys()) {
    map.delete(oldest)
    return
  }
}
