/**
 * Decides which refusals have a log entry of their own. The others are counted: one entry a minute for each attestor, reason
 * and address prefix has their number. Every refusal is recorded or counted.
 */
import type { ProvenCaller, RefusalCode } from '../errors.ts'
import { addressPrefix } from './address-prefix.ts'
import { createBuckets } from './token-buckets.ts'

/**
 * Refusals a minute that have an entry of their own, for all workers together. Callers with a verified proof have limits of
 * their own: a tenth of the first for one identity, and a tenth of the second for all identities of one attestor that no
 * workload entry matches. Anyone can get a valid token of a public issuer, so a proof alone must not fill the log.
 */
export type Allowance = {
  /** Of one address. */
  refusalsPerMinute: number
  /** Of all addresses, and of all identities of one attestor that a workload entry matches. */
  allRefusalsPerMinute: number
}

type Refused = {
  /** The name of a configured attestor; absent if the proof names none. Never a text of the proof. */
  attestor?: string | undefined
  reason: RefusalCode
  address: string | undefined
  /** Set if the proof was verified: its limits replace those of the address. */
  proven?: ProvenCaller | undefined
}

export type Summary = {
  attestor?: string
  reason: RefusalCode
  /** `*`: addresses beyond the number that one minute lists. */
  addressPrefix: string
  count: number
  /** When the first of them was refused, in milliseconds. */
  since: number
}

export type Summaries = ReturnType<typeof createSummaries>

/**
 * Refusals that are only counted. A rate limit would be pointless if each of its refusals were recorded. Unknown paths are
 * requested by every scanner, and by browsers that look for a favicon.
 */
const onlyCounted: ReadonlySet<RefusalCode> = new Set(['rate_limited', 'not_found', 'method_not_allowed'])

const minute = 60_000
/** Seconds. */
const day = 86_400
const maxSummaries = 1_000

export function createSummaries(parts: { limits: Allowance; workers: number; now: () => number }) {
  const { limits, workers, now } = parts
  const rate = (perSecond: number, burst: number) => createBuckets({ perSecond, burst, max: 50_000 }, now)
  const perMinute = (count: number) => rate(count / workers / 60, count / workers)
  const byAddress = perMinute(limits.refusalsPerMinute)
  const allAddresses = perMinute(limits.allRefusalsPerMinute)
  const bySingleUseProof = rate(1 / day, 1)
  const byIdentity = perMinute(limits.refusalsPerMinute / 10)
  const unregistered = perMinute(limits.allRefusalsPerMinute / 10)
  const registered = perMinute(limits.allRefusalsPerMinute)
  const open = new Map<string, Summary>()

  const add = (refused: Omit<Summary, 'since'>, since: number): void => {
    const keyOf = (prefix: string): string => JSON.stringify([refused.attestor ?? null, refused.reason, prefix])
    const own = keyOf(refused.addressPrefix)
    const prefix = open.has(own) || open.size < maxSummaries ? refused.addressPrefix : '*'
    const key = prefix === refused.addressPrefix ? own : keyOf(prefix)
    const summary = open.get(key)
    if (summary === undefined) open.set(key, { ...refused, addressPrefix: prefix, since })
    else {
      summary.count += refused.count
      summary.since = Math.min(summary.since, since)
    }
  }

  /** Identities that no workload entry matches have a separate limit, so that they cannot use up that of registered ones. */
  function hasRoomForProven({ attestor, identity, singleUseProof }: ProvenCaller, reason: RefusalCode): boolean {
    if (singleUseProof !== undefined && bySingleUseProof.take(JSON.stringify([singleUseProof, reason])) > 0)
      return false
    if (byIdentity.take(identity) > 0) return false
    return (reason === 'no_workload' ? unregistered : registered).take(attestor) === 0
  }

  const hasRoom = ({ reason, proven }: Refused, prefix: string): boolean =>
    proven ? hasRoomForProven(proven, reason) : byAddress.take(prefix) === 0 && allAddresses.take('all') === 0

  return {
    noteRefusal: (refused: Refused): 'record' | 'summarise' => {
      const { reason, address, proven, attestor = proven?.attestor } = refused
      const prefix = addressPrefix(address)
      if (!onlyCounted.has(reason) && hasRoom(refused, prefix)) return 'record'
      add({ ...(attestor !== undefined && { attestor }), reason, addressPrefix: prefix, count: 1 }, now())
      return 'summarise'
    },
    /** Removes and returns the summaries that are a minute old; with `all` also younger ones, before the process ends. */
    dueSummaries: ({ all = false }: { all?: boolean } = {}): Summary[] => {
      const due: Summary[] = []
      for (const [key, summary] of open) {
        // The absolute value, so that a clock that was set back does not delay them.
        if (!all && Math.abs(now() - summary.since) < minute) continue
        open.delete(key)
        due.push(summary)
      }
      return due
    },
    /** Takes back summaries that could not be recorded. They keep counting, and stay due. */
    putBack: (summaries: readonly Summary[]): void => {
      for (const { since, ...counted } of summaries) add(counted, since)
    },
  }
}
