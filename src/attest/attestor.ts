/** What an attestor is: something that turns a proof into verified facts. It reports and decides nothing. */
import type { Selectors } from '../names/selectors.ts'
import type { AttestorRow } from '../store/rows.ts'
import type { StoredSession } from '../store/sessions.ts'
import type { ProofText } from './proof-text.ts'

/** What a workload presents, as the API takes it. */
export type Proof = { kind: 'jwt'; token: string } | { kind: 'join-token'; token: string } | { kind: 'x509' }

/** A name that can be recreated, and the immutable id that the proof shows behind it. */
type Account = {
  name: string
  uid: string
  /** When the orchestrator said so: now where it was asked, else when it made the proof. */
  provenAt: Date
}

/** The session that a certificate of ours renews, and that certificate: its serial number, and the key that issued it. */
export type Renewed = { session: StoredSession; serialNumber: string; keyId: string }

/** What a proof proved. */
export type Attested = {
  attestor: AttestorRow
  selectors: Selectors
  /** Immutable ids of the one instance behind the proof (pod UID, run id): the same ids continue the same session. */
  instance: string[]
  account?: Account
  /** The end of the proof; absent where it has none (a join token). */
  expiresAt?: Date
  /** The proof's own id, where the attestor takes each proof once. */
  singleUse?: { id: string; until: Date }
  /** True for a proof bound to a pod that is verified, false where it could have been and isn't. */
  podBound?: boolean
  /** A join token's own entry; a use of the token is taken for each key that it is redeemed with. */
  joinToken?: { id: string; workloadId: string; expiresAt: Date }
  renews?: Renewed
}

/** One thing that was looked at, and in `detail` what is wrong with it, or what was found. */
export type Finding = { ok: boolean; what: string; detail?: string }

/** One configured attestor, ready to verify. Made once for each revision of its row. */
export type Attestor = {
  row: AttestorRow
  /** @throws Refusal with the true reason; callers see `attestation_failed`, or a 503 where the orchestrator is out of reach */
  attest(proof: ProofText, now: Date): Promise<Attested>
  /** Reaches the orchestrator, reads its keys, and says in words what is wrong. Costs what a proof costs, and no more. */
  check(now: Date): Promise<Finding[]>
}
