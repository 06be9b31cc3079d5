/**
 * Rate limits, checked before a request is parsed, verified or recorded: they bound the processor time and the log entries
 * that anonymous callers can use. They are in memory and divided by the workers; the limit of bootstrap is in Postgres.
 */
import { addressPrefix } from './address-prefix.ts'
import { createProofLimits } from './proof-limits.ts'
import { createBuckets } from './token-buckets.ts'
import { type Allowance, type Summaries, createSummaries } from './refusal-summaries.ts'

/** The limit of a route: for proofs, for calls with a credential, for public data, or none (health checks). */
export type LimitKind = 'attest' | 'api' | 'public' | 'none'

/** For all workers together. */
export type Rates = Allowance & {
  /** Of one address, for `attest` and for `api`. */
  addressPerSecond: number
  publicPerSecond: number
  /** Failed proofs of one attestor (proof-limits.ts). */
  attestorPerSecond: number
  burstSeconds: number
}

type Verdict = { ok: true } | { ok: false; retryAfterSeconds: number }

export type Limits = ReturnType<typeof createLimits>

const maxAddresses = 50_000

/** @param parts.now wall clock, milliseconds */
export function createLimits(parts: { limits: Rates; workers: number; now: () => number }) {
  const { limits, workers, now } = parts
  const rate = (perSecond: number, max = maxAddresses) =>
    createBuckets({ perSecond: perSecond / workers, burst: (perSecond / workers) * limits.burstSeconds, max }, now)

  const byAddress = {
    attest: rate(limits.addressPerSecond),
    api: rate(limits.addressPerSecond),
    public: rate(limits.publicPerSecond),
  }
  const perWorker = limits.attestorPerSecond / workers
  const proofs = createProofLimits({ perSecond: perWorker, burst: perWorker * limits.burstSeconds, maxAddresses }, now)
  const summaries = createSummaries({ limits, workers, now })

  return {
    /** Called before the body is read. */
    take: ({ kind, address }: { kind: LimitKind; address: string | undefined }): Verdict =>
      kind === 'none' ? { ok: true } : verdict(byAddress[kind].take(addressPrefix(address))),
    admitProof: proofs.admitProof,
    ...summaries,
    noteRefusal: (refused: Parameters<Summaries['noteRefusal']>[0]) => {
      const { proven, address, reason } = refused
      if (proven && reason === 'no_workload') proofs.spendProof({ attestor: proven.attestor, address })
      return summaries.noteRefusal(refused)
    },
  }
}

const verdict = (wait: number): Verdict =>
  wait === 0 ? { ok: true } : { ok: false, retryAfterSeconds: Math.ceil(wait) }
