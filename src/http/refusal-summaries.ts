/**
 * Which refusals of workloads and strangers get an audit entry of their own, and the entries that stand for the others: one a minute
 * for each attestor, reason and address prefix, with their number. Nothing is left uncounted.
 */
import type { ProvenCaller, RefusalCode } from '../errors.ts'
import { addressPrefix } from './address-prefix.ts'
import { createBuckets } from './token-buckets.ts'

/**
 * Refusals a minute that get an entry of their own, for all workers together. A tenth of each holds for callers whose
 * proof was verified: of the first for one identity, of the second for all identities of one attestor that no workload
 * entry matches. Anyone can have a valid token of a public issuer, so a proof alone buys no room in the log.
 */
export type Allowance = {
  /** Of one address. */
  refusalsPerMinute: number
  /** Of all addresses; and of those identities of one attestor that a workload entry matches. */
  allRefusalsPerMinute: number
}

type Refused = {
  /** Name of a configured attestor; absent where the proof named none. Never text of the proof. */
  attestor?: string | undefined
  reason: RefusalCode
  address: string | undefined
  /** Set once the proof was verified: then the address does not count. */
  proven?: ProvenCaller | undefined
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
/** Seconds. */
const day = 86_400
const maxNamedApart = 1_000

export function createSummaries(parts: { limits: Allowance; workers: number; now: () => number }): Summaries {
  const { limits, workers, now } = parts
  const rate = (perSecond: number, burst: number) => createBuckets({ perSecond, burst, max: 50_000 }, now)
  const perMinute = (count: number) => rate(count / workers / 60, count / workers)
  const byAddress = perMinute(limits.refusalsPerMinute)
  const altogether = perMinute(limits.allRefusalsPerMinute)
  const bySingleUseProof = rate(1 / day, 1)
  const byIdentity = perMinute(limits.refusalsPerMinute / 10)
  const unregistered = perMinute(limits.allRefusalsPerMinute / 10)
  const registered = perMinute(limits.allRefusalsPerMinute)
  const open = new Map<string, Summary>()

  const add = (refused: Omit<Summary, 'since'>, since: number): void => {
    const keyOf = (prefix: string): string => JSON.stringify([refused.attestor ?? null, refused.reason, prefix])
    const own = keyOf(refused.addressPrefix)
    const prefix = open.has(own) || open.size < maxNamedApart ? refused.addressPrefix : '*'
    const key = prefix === refused.addressPrefix ? own : keyOf(prefix)
    const kept = open.get(key)
    if (kept === undefined) open.set(key, { ...refused, addressPrefix: prefix, since })
    else {
      kept.count += refused.count
      kept.since = Math.min(kept.since, since)
    }
  }

  /** Refusals of identities that no entry matches have their own allowance: they leave room for those of registered ones. */
  function hasRoomForProven({ attestor, identity, singleUseProof }: ProvenCaller, reason: RefusalCode): boolean {
    if (singleUseProof !== undefined && bySingleUseProof.take(JSON.stringify([singleUseProof, reason])) > 0)
      return false
    if (byIdentity.take(identity) > 0) return false
    return (reason === 'no_workload' ? unregistered : registered).take(attestor) === 0
  }

  const hasRoom = ({ reason, proven }: Refused, prefix: string): boolean =>
    proven ? hasRoomForProven(proven, reason) : byAddress.take(prefix) === 0 && altogether.take('all') === 0

  return {
    noteRefusal(refused) {
      const { reason, address, proven, attestor = proven?.attestor } = refused
      const prefix = addressPrefix(address)
      if (!onlyCounted.has(reason) && hasRoom(refused, prefix)) return 'record'
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
