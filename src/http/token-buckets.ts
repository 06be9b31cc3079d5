/**
 * Token buckets by name, in memory, a bounded number of them.
 *
 * Why not rate-limiter-flexible (the choice for login, in Postgres): on this path a promise and a timer for each name
 * cost more than the decision, and its memory store has no bound on how many names strangers make up. A bucket is two
 * numbers.
 */
export type Buckets = {
  /** Takes one token. @returns 0, or the seconds until there is one */
  take(name: string): number
  /** Returns a token that was taken and not used. */
  giveBack(name: string): void
}

type Bucket = { tokens: number; at: number }

/**
 * @param rules.perSecond the rate; @param rules.burst how many at once; @param rules.most the most names kept
 * @param now milliseconds; a clock that goes back refills nothing
 */
export function createBuckets(rules: { perSecond: number; burst: number; max: number }, now: () => number): Buckets {
  const { perSecond, max } = rules
  const burst = Math.max(1, rules.burst)
  // Insertion order is the order of last use. Whoever is forgotten starts with a full bucket.
  const buckets = new Map<string, Bucket>()
  return {
    take(name) {
      const at = now()
      const bucket = buckets.get(name) ?? { tokens: burst, at }
      buckets.delete(name)
      buckets.set(name, bucket)
      if (buckets.size > max) forgetOldest(buckets)
      const elapsed = Math.max(0, at - bucket.at) / 1000
      bucket.tokens = Math.min(burst, bucket.tokens + elapsed * perSecond)
      bucket.at = at
      if (bucket.tokens < 1) return (1 - bucket.tokens) / perSecond
      bucket.tokens -= 1
      return 0
    },
    giveBack(name) {
      const bucket = buckets.get(name)
      if (bucket) bucket.tokens = Math.min(burst, bucket.tokens + 1)
    },
  }
}

export function forgetOldest(map: Map<string, unknown> | Set<string>): void {
  for (const oldest of map.keys()) {
    map.delete(oldest)
    return
  }
}
