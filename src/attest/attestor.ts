/** An attestor turns a proof into verified facts. It reports them and decides nothing. */
import type { Refusal } from '../errors.ts'
import type { Selectors } from '../names/selectors.ts'
import type { AttestorRow } from '../store/rows.ts'
import type { StoredSession } from '../store/sessions.ts'
import type { Logger } from '../telemetry/log.ts'
import type { Fetch } from './key-source.ts'
import type { ProofText } from './proof-text.ts'

export type Proof = { kind: 'jwt'; token: string } | { kind: 'join-token'; token: string } | { kind: 'x509' }

/** A name that can be recreated, and the immutable id that the proof shows behind it. */
type Account = {
  name: string
  uid: string
  /** When the orchestrator vouched for the id: now for a TokenReview, else when it signed the proof. */
  provenAt: Date
}

/** The session that a certificate renews, with the certificate's serial number and issuing key. */
export type Renewed = { session: StoredSession; serialNumber: string; keyId: string }

/** The verified content of a proof. */
export type Attested = {
  attestor: AttestorRow
  selectors: Selectors
  /** Immutable ids of the one instance behind the proof (pod UID, run id): the same ids continue the same session. */
  instance: string[]
  account?: Account
  /** The end of the proof; absent where it has none (a join token). */
  expiresAt?: Date
  /** The id of the proof, where the attestor accepts each proof once. */
  singleUse?: { id: string; until: Date }
  /** Whether the proof is bound to a pod. Absent for attestors without pods. */
  podBound?: boolean
  /** The entry of a join token. Each key that it certifies is one use. */
  joinToken?: { id: string; workloadId: string; expiresAt: Date }
  renews?: Renewed
}

/** Where an issuer's keys are: one of the three. */
export type KeysDefinition = { discovery?: true; jwksUrl?: string; jwks?: { keys: unknown[] } }

/** People log in at the issuer (RFC 8628), and present their ID tokens. The audience is the client id. */
export type LoginDefinition = { scopes: string[] }

/** The members of a stored definition of any kind, with every default filled in. */
export type CommonDefinition = {
  name: string
  issuer: string
  audience: string
  spiffeIdPrefix: string
  keys: KeysDefinition
  algorithms?: string[]
  maxTokenAgeSeconds: number
  singleUse: boolean
  otherAudiences: 'allow' | 'refuse'
  managedBy?: string
}

/** The result of one check; `detail` says what is wrong, or what is there. */
export type Finding = { ok: boolean; what: string; detail?: string }

/** A configured attestor. It is created once for each revision of its row. */
export type Attestor = {
  row: AttestorRow
  /** @throws Refusal with the true reason; callers see `attestation_failed`, or a 503 where the orchestrator is unreachable */
  attest(proof: ProofText, now: Date): Promise<Attested>
  /** Reaches the orchestrator and reads its keys. Costs no more than a proof. */
  check(now: Date): Promise<Finding[]>
}

export type AttestorParts = {
  outbound: Fetch
  /** Milliseconds, of a clock that is never set back. */
  clock: () => number
  /** Reads a token or CA file of the configuration at each use, since the kubelet renews them. */
  readFile: (path: string) => Promise<string>
  log: Pick<Logger, 'info' | 'warn'>
  /** How long cached keys are accepted while their issuer is unreachable. Default: a day. */
  keepKeysSeconds?: number
}

/** The reason of a refusal, for findings and the server log. */
export function describeRefusal({ code, info }: Refusal): string {
  const detail = info.explanation?.detail
  return typeof detail === 'string' ? detail : code
}
