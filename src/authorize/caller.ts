/** The caller of an action, and whether its right to call still stands. */
import type { SelectorRecord } from '../audit/entry.ts'
import type { Bound } from '../names/bound.ts'
import type { Role } from '../store/rows.ts'
import type { Snapshot } from '../store/snapshot.ts'
import { type SessionCredential, isAccepted, stands } from './standing.ts'

export type Caller =
  | { kind: 'anonymous' }
  | OperatorCaller
  /** `until`: the end of the credential. Its session may end earlier. */
  | { kind: 'session'; session: SessionCaller; credential: SessionCredential; until: Date }
  /** Holds a bootstrap token that was live a moment ago; the action looks it up again. */
  | { kind: 'bootstrap'; hash: Buffer }

export type OperatorCaller = AccountCaller | WorkloadOperator

type Rights = {
  /** Of the token, or granted to the workload. */
  role: Role
  /** Of the operator; of a workload, the same as `role`. */
  operatorRole: Role
  /** Absent: all routes. */
  routes?: readonly string[]
  /** What the bounds of token and operator both permit. Absent: everything. */
  bound?: Bound
}

/** Holds a token of an operator. */
export type AccountCaller = Rights & {
  kind: 'operator'
  operator: string
  /** Of the operator: a change of it ends what its tokens have begun. */
  revision: number
  tokenId: string
  firstUse: boolean
  session?: undefined
}

/** A workload on a route of operators. Its entry grants it the rights. */
export type WorkloadOperator = Rights & {
  kind: 'operator'
  session: SessionCaller
  credential: SessionCredential
  /** The end of the credential. */
  until: Date
  /** Of the workload entry: a change of it ends what the workload has begun. */
  entryRevision: number
}

export type SessionCaller = {
  id: string
  spiffeId: string
  workloadId: string
  attestorId: string
  selectors: SelectorRecord
  /** The version of the session's facts. */
  facts: number
  expiresAt: Date
}

/** The bound of a caller; undefined for callers without one, workloads among them. */
export const boundOf = (caller: Caller): Bound | undefined => (caller.kind === 'operator' ? caller.bound : undefined)

/**
 * Whether a newer snapshot still accepts the caller, so that a revocation also stops requests under way. The snapshot does
 * not know sessions that ended otherwise; the append refuses those.
 */
export function isLiveCaller(caller: Caller, snapshot: Snapshot, now: Date): boolean {
  switch (caller.kind) {
    case 'anonymous':
    case 'bootstrap':
      return true
    case 'operator':
      return caller.session ? isLiveWorkload(caller, snapshot, now) : isLiveAccount(caller, snapshot, now)
    case 'session':
      return isAccepted(snapshot, caller.credential) && stands(snapshot, caller.session, now)
  }
}

function isLiveAccount({ tokenId, revision }: AccountCaller, { apiTokens, operators }: Snapshot, now: Date): boolean {
  const row = apiTokens.get(tokenId)
  if (!row || row.revokedAt || row.expiresAt <= now) return false
  const operator = operators.get(row.operator)
  return operator !== undefined && !operator.disabled && operator.revision === revision
}

function isLiveWorkload(caller: WorkloadOperator, snapshot: Snapshot, now: Date): boolean {
  const { session, credential, until, entryRevision } = caller
  if (until <= now || session.expiresAt <= now) return false
  const entry = snapshot.workloads.get(session.workloadId)
  return entry?.revision === entryRevision && isAccepted(snapshot, credential) && stands(snapshot, session, now)
}
