/** The caller of an action, and whether it still is one. */
import type { SelectorRecord } from '../audit/entry.ts'
import type { Role } from '../store/rows.ts'
import type { Snapshot } from '../store/snapshot.ts'
import { blockOf } from './session.ts'
import { type Shown, counts, stands } from './standing.ts'

/** `until`: when the credential that was shown ends, whatever its session does. */
export type Caller =
  | { kind: 'anonymous' }
  | { kind: 'operator'; operator: string; role: Role; tokenId: string; firstUse: boolean }
  | { kind: 'session'; session: SessionCaller; shown: Shown; until: Date }
  /** Holds a bootstrap token that was live a moment ago; the handler finds it. */
  | { kind: 'bootstrap'; hash: Buffer }

type SessionCaller = {
  id: string
  spiffeId: string
  workloadId: string
  attestorId: string
  selectors: SelectorRecord
  /** How often they changed. */
  facts: number
  expiresAt: Date
}

/**
 * Whether a newer snapshot still knows the caller: what was revoked while a request was under way decides nothing more.
 * Sessions that ended otherwise are told by the append itself.
 */
export function isStill(caller: Caller, snapshot: Snapshot, now: Date): boolean {
  switch (caller.kind) {
    case 'anonymous':
    case 'bootstrap':
      return true
    case 'operator': {
      const row = snapshot.apiTokens.get(caller.tokenId)
      return row !== undefined && !row.revokedAt && row.expiresAt > now
    }
    case 'session':
      return (
        counts(snapshot, caller.shown) && stands(snapshot, caller.session) && !blockOf(snapshot, caller.session, now)
      )
  }
}
