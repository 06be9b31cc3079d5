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

/** What the token allows is limited by its own role, by the present role of its operator, by its routes and by its bound. */
type OperatorCaller = {
  kind: 'operator'
  operator: string
  /** Of the token. */
  role: Role
  operatorRole: Role
  /** Of the operator: a change of it ends what its tokens have begun. */
  revision: number
  /** Absent: all routes. */
  routes?: readonly string[]
  /** What the bounds of token and operator both permit. Absent: everything. */
  bound?: Bound
  tokenId: string
  firstUse: boolean
}

type SessionCaller = {
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
    case 'operator': {
      const row = snapshot.apiTokens.get(caller.tokenId)
      if (!row || row.revokedAt || row.expiresAt <= now) return false
      const operator = snapshot.operators.get(row.operator)
      return operator !== undefined && !operator.disabled && operator.revision === caller.revision
    }
    case 'session':
      return isAccepted(snapshot, caller.credential) && stands(snapshot, caller.session, now)
  }
}
