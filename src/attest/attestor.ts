/** What an attestor is: something that turns a proof into verified facts. It reports and decides nothing. */
import type { Selectors } from '../names/selectors.ts'
import type { Outbound } from '../outbound/client.ts'
import type { AttestorRow } from '../store/rows.ts'

/** What a workload presents, as the API takes it. */
export type Proof = { kind: 'jwt'; token: string } | { kind: 'join-token'; token: string } | { kind: 'x509' }

/** What a proof proved. */
export type Attested = {
  attestor: AttestorRow
  selectors: Selectors
  /** Immutable ids of the one instance behind the proof (pod UID, run id): the same ids continue the same session. */
  instance: string[]
  /** A name that can be recreated, and the immutable id now behind it. */
  account?: { name: string; uid: string }
  /** The end of the proof; absent where it has none (a join token). */
  expiresAt?: Date
  /** The proof's own id, where the attestor takes each proof once. */
  once?: { id: string; until: Date }
  /** True for a proof bound to a pod that is verified, false where it could have been and isn't. */
  podBound?: boolean
  /** A join token's own entry, and the counter to take a use from. */
  joinToken?: { id: string; workloadId: string }
}

export type AttestParts = {
  now: Date
  outbound: Outbound
}

/** One configured attestor, ready to verify. Made once for each revision of its row. */
export type Attestor = {
  row: AttestorRow
  /** @throws Refusal with the true reason; callers see `attestation_failed` */
  attest(token: string, now: Date): Promise<Attested>
  /** Reaches the orchestrator and reads its keys. Answers findings in words; an empty list means all is well. */
  check(now: Date): Promise<{ ok: boolean; what: string; detail?: string }[]>
}
