/**
 * Which refusals of strangers get an audit entry of their own, and the entries that stand for the others: one a minute
 * for each attestor, reason and address prefix, with their number. Nothing is left uncounted.
 */
import type { RefusalCode } from '../errors.ts'
import { addressPrefix } from './address-prefix.ts'
import { createBuckets } from './token-buckets.ts'

/** Refusals a minute that get an entry of their own, for all workers together. */
export type Allowance = {
  /** Of one address. */
  refusalsPerMinute: number
  allRefusalsPerMinute: number
}

type Refused = {
  /** Name of a configured attestor; absent where the proof named none. Never text of the proof. */
  attestor?: string | undefined
  reason: RefusalCode
  address: string | undefined
  /** Who it is was proven, so it is always recorded by itself. */
  proven?: boolean
}

export type Summary = {
  attestor?: string
  reason: RefusalCode
  /** `*`: addresses beyond the number that is told apart in one minute. */
  addressPrefix: string
  count: number
  /** Milliseconds: when the first of them was refused. */
  since: number
}

export type Summaries = {
  noteRefusal: (refused: Refused) => 'record' | 'summarise'
  /** Hands out, once, what is a minute old; `all` also what is younger, before the process ends. */
  dueSummaries: (options?: { all?: boolean }) => Summary[]
  /** They could not be recorded: counted on, and due again. */
  putBack: (summaries: readonly Summary[]) => void
}

/**
 * Never recorded by themselves: what a limit turned away, which is the leaf that a stranger would be buying, and what
 * isn't there, which every scanner and every browser's favicon asks for.
 */
const onlyCounted: ReadonlySet<RefusalCode> = new Set(['rate_limited', 'not_found', 'method_not_allowed'])

const minute = 60_000
const mostToldApart = 1_000

export function createSummaries(parts: { limits: Allowance; workers: number; now: () => number }): Summaries {
  const { limits, workers, now } = parts
  const perMinute = (count: number) =>
    createBuckets({ perSecond: count / workers / 60, burst: count / workers, most: 50_000 }, now)
  const byAddress = perMinute(limits.refusalsPerMinute)
  const altogether = perMinute(limits.allRefusalsPerMinute)
  const open = new Map<string, Summary>()

  const add = (refused: Omit<Summary, 'since'>, since: number): void => {
    const keyOf = (prefix: string): string => JSON.stringify([refused.attestor ?? null, refused.reason, prefix])
    const own = keyOf(refused.addressPrefix)
    const prefix = open.has(own) || open.size < mostToldApart ? refused.addressPrefix : '*'
    const key = prefix === refused.addressPrefix ? own : keyOf(prefix)
    const kept = open.get(key)
    if (kept === undefined) open.set(key, { ...refused, addressPrefix: prefix, since })
    else {
      kept.count += refused.count
      kept.since = Math.min(kept.since, since)
    }
  }

  return {
    noteRefusal({ attestor, reason, address, proven }) {
      if (proven === true) return 'record'
      const prefix = addressPrefix(address)
      if (!onlyCounted.has(reason) && byAddress.take(prefix) === 0 && altogether.take('all') === 0) return 'record'
      add({ ...(attestor !== undefined && { attestor }), reason, addressPrefix: prefix, count: 1 }, now())
      return 'summarise'
    },
    dueSummaries({ all = false } = {}) {
      const due: Summary[] = []
      for (const [key, summary] of open) {
        // A clock that was set back must not hold them.
        if (!all && Math.abs(now() - summary.since) < minute) continue
        open.delete(key)
        due.push(summary)
      }
      return due
    },
    putBack(summaries) {
      for (const { since, ...counted } of summaries) add(counted, since)
    },
  }
}
