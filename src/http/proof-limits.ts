/**
 * Limits the failed proofs of one attestor. A proof takes a token before it is verified, and returns it unless it fails.
 * Anyone can name an attestor in a forged proof, so each address has a limit of its own. The attestor's limit exists four
 * times, for addresses with or without a recent success and with or without a recent failure. Forgers with many addresses
 * use up the limit of failing addresses only, and the first proof of a new workload does not wait.
 */
import { addressPrefix } from './address-prefix.ts'
import { createBuckets, evictOldest } from './token-buckets.ts'

type Rules = {
  /** Failed proofs of one attestor, in each of the four groups. */
  perSecond: number
  burst: number
  maxAddresses: number
}

type ProofVerdict =
  | { ok: false; retryAfterSeconds: number }
  /** `unjudged`: the proof could not be verified, since the orchestrator cannot be reached. */
  | { ok: true; settle: (outcome: 'proven' | 'failed' | 'unjudged') => void }

type ProofCaller = { attestor: string; address: string | undefined }

/** One address can use up a tenth of its group. */
const shareOfAddress = 0.1
/** Workloads present proofs at each renewal. An address without one for longer counts as unknown. */
const provenForMs = 3_600_000
const failedForMs = 60_000

/** @param now wall clock, milliseconds */
export function createProofLimits({ perSecond, burst, maxAddresses }: Rules, now: () => number) {
  const rate = (share: number) =>
    createBuckets({ perSecond: perSecond * share, burst: burst * share, max: maxAddresses }, now)
  const byAddress = rate(shareOfAddress)
  const byGroup = rate(1)
  const proven = createMarks(provenForMs, maxAddresses, now)
  const failed = createMarks(failedForMs, maxAddresses, now)

  const namesOf = ({ attestor, address }: ProofCaller) => {
    const source = JSON.stringify([attestor, addressPrefix(address)])
    return { source, group: JSON.stringify([attestor, proven.has(source), failed.has(source)]) }
  }

  return {
    /** Called for a proof that names a configured attestor, before it is verified. */
    admitProof: (caller: ProofCaller): ProofVerdict => {
      const { source, group } = namesOf(caller)
      const wait = byAddress.take(source)
      if (wait > 0) return { ok: false, retryAfterSeconds: Math.ceil(wait) }
      const groupWait = byGroup.take(group)
      if (groupWait > 0) {
        byAddress.giveBack(source)
        return { ok: false, retryAfterSeconds: Math.ceil(groupWait) }
      }
      return {
        ok: true,
        settle(outcome) {
          if (outcome === 'failed') return failed.set(source)
          byAddress.giveBack(source)
          byGroup.giveBack(group)
          if (outcome === 'proven') proven.set(source)
        },
      }
    },
    /** Counts a verified proof that no workload entry matches like a failed one. */
    spendProof(caller: ProofCaller): void {
      const { source, group } = namesOf(caller)
      byAddress.take(source)
      byGroup.take(group)
      failed.set(source)
    },
  }
}

/** Remembers names for a time. The oldest are evicted first. */
function createMarks(forMs: number, maxMarks: number, now: () => number) {
  const markedAt = new Map<string, number>()
  return {
    has(name: string): boolean {
      const at = markedAt.get(name)
      return at !== undefined && now() - at < forMs
    },
    set(name: string): void {
      markedAt.delete(name)
      markedAt.set(name, now())
      if (markedAt.size > maxMarks) evictOldest(markedAt)
    },
  }
}
