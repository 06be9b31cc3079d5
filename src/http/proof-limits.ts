/**
 * How many proofs one attestor verifies. Only proofs that fail use the allowance up: each takes its part before it is
 * verified, and gets it back unless it fails. Anyone can name an attestor in a forged proof, so the allowance is spent by
 * address first; and it is kept four times, by whether the address has proven itself lately and whether it has failed
 * lately. Forgers of many addresses so use up what is left for failing addresses, and no workload's first proof waits.
 */
import { addressPrefix } from './address-prefix.ts'
import { createBuckets, forgetOldest } from './token-buckets.ts'

type Rules = {
  /** Proofs of one attestor that fail, of each of the four groups. */
  perSecond: number
  burst: number
  maxAddresses: number
}

type ProofVerdict =
  | { ok: false; retryAfterSeconds: number }
  /** `unjudged`: the attestor could not be asked. */
  | { ok: true; settle: (outcome: 'proven' | 'failed' | 'unjudged') => void }

export type ProofLimits = {
  /** Once an unverified proof has named an attestor that exists, before it is verified. */
  admitProof(caller: ProofCaller): ProofVerdict
  /** A proof was verified, and no workload entry matches it: that costs the same as a forged one. */
  spendProof(caller: ProofCaller): void
}
type ProofCaller = { attestor: string; address: string | undefined }

/** One address can use up a tenth of its group. */
const shareOfAddress = 0.1
/** Proofs come again at each renewal, so an address that is silent for longer is a stranger again. */
const provenForMs = 3_600_000
const failedForMs = 60_000

/** @param now wall clock, milliseconds */
export function createProofLimits({ perSecond, burst, maxAddresses }: Rules, now: () => number): ProofLimits {
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
    admitProof(caller) {
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
    spendProof(caller) {
      const { source, group } = namesOf(caller)
      byAddress.take(source)
      byGroup.take(group)
      failed.set(source)
    },
  }
}

/** Names that are marked for a time; the oldest are forgotten first. */
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
      if (markedAt.size > maxMarks) forgetOldest(markedAt)
    },
  }
}
