/**
 * Limits of the hot path, before anything is parsed, verified or recorded: strangers buy neither processor time nor
 * leaves of the log without limit. In memory, divided by workers; those of login and bootstrap are in Postgres.
 */
import { addressPrefix } from './address-prefix.ts'
import { type ProofLimits, createProofLimits } from './proof-limits.ts'
import { createBuckets } from './token-buckets.ts'
import { type Allowance, type Summaries, createSummaries } from './refusal-summaries.ts'

/** What a route names: proofs, calls with a credential, or what anyone may read. `none` is for health checks. */
export type LimitKind = 'attest' | 'api' | 'public' | 'none'

/** For all workers together. */
export type Rates = Allowance & {
  /** From one address: `attest` and `api` each. */
  addressPerSecond: number
  publicPerSecond: number
  /** Proofs of one attestor that fail (proof-limits.ts). */
  attestorPerSecond: number
  burstSeconds: number
}

type Verdict = { ok: true } | { ok: false; retryAfterSeconds: number }

export type Limits = Summaries &
  Pick<ProofLimits, 'admitProof'> & {
    /** At the door, before the body is read. */
    take(caller: { kind: LimitKind; address: string | undefined }): Verdict
  }

const mostAddresses = 50_000

/**
 * @param parts.now wall clock, milliseconds
 */
export function createLimits(parts: { limits: Rates; workers: number; now: () => number }): Limits {
  const { limits, workers, now } = parts
  const rate = (perSecond: number, max = mostAddresses) =>
    createBuckets({ perSecond: perSecond / workers, burst: (perSecond / workers) * limits.burstSeconds, max }, now)

  const byAddress = {
    attest: rate(limits.addressPerSecond),
    api: rate(limits.addressPerSecond),
    public: rate(limits.publicPerSecond),
  }
  const perWorker = limits.attestorPerSecond / workers
  const proofs = createProofLimits(
    { perSecond: perWorker, burst: perWorker * limits.burstSeconds, maxAddresses: mostAddresses },
    now,
  )
  const summaries = createSummaries({ limits, workers, now })

  return {
    take({ kind, address }) {
      return kind === 'none' ? { ok: true } : verdict(byAddress[kind].take(addressPrefix(address)))
    },
    admitProof: (caller) => proofs.admitProof(caller),
    ...summaries,
    noteRefusal(refused) {
      const { proven, address, reason } = refused
      if (proven && reason === 'no_workload') proofs.spendProof({ attestor: proven.attestor, address })
      return summaries.noteRefusal(refused)
    },
  }
}

const verdict = (wait: number): Verdict =>
  wait === 0 ? { ok: true } : { ok: false, retryAfterSeconds: Math.ceil(wait) }
