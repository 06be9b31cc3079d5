/**
 * Limits of the hot path, before anything is parsed, verified or recorded: strangers buy neither processor time nor
 * leaves of the log without limit. In memory, divided by workers; those of login and bootstrap are in Postgres.
 */
import { addressPrefix } from './address-prefix.ts'
import { createBuckets, forgetOldest } from './token-buckets.ts'
import { type Allowance, type Summaries, createSummaries } from './refusal-summaries.ts'

/** What a route names: proofs, calls with a credential, or what anyone may read. `none` is for health checks. */
export type LimitKind = 'attest' | 'api' | 'public' | 'none'

/** For all workers together. */
export type Rates = Allowance & {
  /** From one address: `attest` and `api` each. */
  addressPerSecond: number
  publicPerSecond: number
  /** For one attestor: addresses that have proven themselves, and once more all others. */
  attestorPerSecond: number
  burstSeconds: number
}

type Verdict = { ok: true } | { ok: false; retryAfterSeconds: number }

export type Limits = Summaries & {
  /** At the door, before the body is read. */
  take(caller: { kind: LimitKind; address: string | undefined }): Verdict
  /** Once an unverified proof has named an attestor that exists, before it is verified. */
  takeAttestor(caller: { attestor: string; address: string | undefined }): Verdict
  /** A proof of this address was verified: for a while it no longer shares the strangers' part of the attestor's limit. */
  proven(caller: { attestor: string; address: string | undefined }): void
}

const mostAddresses = 50_000
/** Proofs come again at each renewal, so an address that is silent for longer is a stranger again. */
const provenForMs = 3_600_000

/**
 * @param parts.now wall clock, milliseconds
 */
export function createLimits(parts: { limits: Rates; workers: number; now: () => number }): Limits {
  const { limits, workers, now } = parts
  const rate = (perSecond: number, most = mostAddresses) =>
    createBuckets({ perSecond: perSecond / workers, burst: (perSecond / workers) * limits.burstSeconds, most }, now)

  const byAddress = {
    attest: rate(limits.addressPerSecond),
    api: rate(limits.addressPerSecond),
    public: rate(limits.publicPerSecond),
  }
  // Anyone can name an attestor in a forged proof. Were there one bucket, a stranger could empty it and lock the
  // attestor's workloads out; so addresses that have proven themselves draw from their own.
  const strangers = rate(limits.attestorPerSecond)
  const acquaintances = rate(limits.attestorPerSecond)
  const provenAt = new Map<string, number>()
  const pair = (attestor: string, address: string | undefined): string =>
    JSON.stringify([attestor, addressPrefix(address)])

  return {
    take({ kind, address }) {
      return kind === 'none' ? { ok: true } : verdict(byAddress[kind].take(addressPrefix(address)))
    },
    takeAttestor({ attestor, address }) {
      const at = provenAt.get(pair(attestor, address))
      const known = at !== undefined && now() - at < provenForMs
      return verdict((known ? acquaintances : strangers).take(attestor))
    },
    proven({ attestor, address }) {
      const key = pair(attestor, address)
      provenAt.delete(key)
      provenAt.set(key, now())
      if (provenAt.size > mostAddresses) forgetOldest(provenAt)
    },
    ...createSummaries({ limits, workers, now }),
  }
}

const verdict = (wait: number): Verdict =>
  wait === 0 ? { ok: true } : { ok: false, retryAfterSeconds: Math.ceil(wait) }
