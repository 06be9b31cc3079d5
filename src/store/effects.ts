/**
 * Effects of an append, in the same COMMIT as its entry. `log_append` (migrations/log-append.ts) uses the names of the
 * members here, or those in `wireNames`.
 */
import type { SealedValue } from './rows.ts'

/**
 * A single use, such as of a proof. `holder` is the SHA-256 of the key that may repeat the claim within 60 s, since
 * replies get lost. `first`: the item releases something that is not bound to that key, so a repeat must not release it.
 */
export type Claim = { key: Buffer; holder: Buffer; until: Date; first?: true }

export type SessionRow = {
  id: string
  /** The MAC of the attestor and the immutable ids of the instance. */
  instance: Buffer
  /** `instance` is the MAC of an earlier version, which includes the workload entry. */
  entryKeyed: boolean
  generation: number
  workloadId: string
  attestorId: string
  spiffeId: string
  selectors: Readonly<Record<string, string | string[]>>
  /** The name whose re-creation ends the session (a Kubernetes namespace and service account), where there is one. */
  account?: string
  expiresAt: Date
  /** The version of the stored facts, where the session is renewed; absent where an attestation states them anew. */
  facts?: number
}

export type TokenRow = { id: string; hash: Buffer; sessionId: string; expiresAt: Date }

/**
 * `holder`: the id of a session, or `operator:<name>`. `revision`: of the secret when its value was read. The item is left
 * out when the secret has another one by now.
 */
export type SecretRead = { secret: string; version: number; holder: string; revision: number }

/** A holder uses a version that it fetched. The item is left out when the holder never fetched it. */
type Acknowledgement = { secret: string; version: number; holder: string }

/** A new version of a secret. The item is left out when the secret has another revision, or a rotation of it runs. */
type SecretWrite = {
  /** Of the secret. */
  id: string
  path: string
  /** The revision of the secret that the writer read; 0 for a new secret. */
  expected: number
  version: number
  maxVersions: number
  at: Date
  source: string
  createdBy: string
  expiresAt?: Date
  sealed: SealedValue
  /** Versions beyond `maxVersions`, whose values are destroyed. */
  destroyed: readonly number[]
}

export type Effects = {
  claim?: Claim
  /** A session that the append opens or continues. */
  session?: SessionRow
  token?: TokenRow
  /** The id of the join token that is used. Two items with the same join token never share a batch. */
  joinToken?: string
  /** The id of the caller's session, where the item neither opens nor continues it. The item is left out when it has ended. */
  liveSession?: string
  /** The version of the session's facts on which the decision is based. */
  facts?: number
  /** Versions of secrets in the reply. */
  reads?: readonly SecretRead[]
  ack?: Acknowledgement
  /** The ids of intended leases that become active. */
  leases?: readonly string[]
  /** Two items that write the same path never share a batch. */
  write?: SecretWrite
}

/** Names from earlier versions, whose replicas append beside this one during an upgrade. */
const wireNames: Record<string, string> = {
  joinToken: 'use',
  liveSession: 'alive',
  workloadId: 'workload',
  attestorId: 'attestor',
  sessionId: 'session',
  expiresAt: 'until',
}

const wireName = (name: string): string => wireNames[name] ?? name

/** Bytes become base64; JSON.stringify writes dates. */
const encoded = (value: unknown): unknown => (Buffer.isBuffer(value) ? value.toString('base64') : value)

function membersOf(effect: object): Record<string, unknown> {
  const row: Record<string, unknown> = {}
  for (const [name, member] of Object.entries(effect)) row[wireName(name)] = encoded(member)
  return row
}

/** Adds the effects to the item that `log_append` takes. Writes leave apart from the items. */
export function addEffects(row: Record<string, unknown>, effects: Effects): void {
  for (const [name, effect] of Object.entries(effects)) {
    if (name === 'write') continue
    row[wireName(name)] = typeof effect === 'object' && !Array.isArray(effect) ? membersOf(effect) : effect
  }
}

/** The writes of a batch, as `log_append` takes them. */
export function writesOf(batch: readonly { effects?: Effects }[]): Record<string, unknown>[] {
  return batch.flatMap(({ effects }, n) => {
    if (!effects?.write) return []
    const { sealed, ...write } = effects.write
    return [{ n, ...write, ...membersOf(sealed) }]
  })
}

/** The wire names of the effects in a batch: `log_append` skips the statements of all others. */
export const effectNames = (batch: readonly { effects?: Effects }[]): string[] => [
  ...new Set(batch.flatMap(({ effects }) => Object.keys(effects ?? {}).map(wireName))),
]
