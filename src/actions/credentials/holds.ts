/** Whether an issuance that was decided under one snapshot would be decided alike under a newer one. */
import type { Attested } from '../../attest/attest.ts'
import { type Blockable, blockOf } from '../../authorize/blocks.ts'
import { type Decision, decide } from '../../authorize/decide.ts'
import { isAccepted } from '../../authorize/standing.ts'
import { type Issued, credentialsOf } from '../../store/issued.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import { accountHolds } from './account-standing.ts'
import { factsOf } from './facts.ts'

/** An issuance that is signed but not appended yet: what it was decided from, and what it contains. */
export type Issuance = {
  attested: Attested
  /** The snapshot of the decision. */
  snapshot: Snapshot
  /** The entry that the request names. */
  workload: string | undefined
  decision: Decision
  session: Blockable
  issued: Issued
}

/** True for the same entry revision, attestor, keys and proof, and no block: the same bytes would be signed again. */
export function issuanceHolds(issuance: Issuance, newer: Snapshot, now: Date): boolean {
  const { attested, snapshot, decision, session, issued } = issuance
  const { attestorId } = decision.entry.row
  if (newer.epoch !== snapshot.epoch || !newer.issuing) return false
  if (newer.attestors.get(attestorId)?.revision !== snapshot.attestors.get(attestorId)?.revision) return false
  if (!isDecidedAlike(issuance, newer)) return false
  const isWithdrawn = (keyId: string | undefined) => keyId !== undefined && newer.keys.get(keyId)?.withdrawnAt
  if (credentialsOf(issued).some(({ keyId }) => isWithdrawn(keyId))) return false
  if (!accountHolds(newer, attested)) return false
  if (attested.renews && !isAccepted(newer, attested.renews)) return false
  return blockOf(newer, session, now) === undefined
}

/** Other entries may have changed. It matters only whether the facts still lead to the same revision of this entry. */
function isDecidedAlike({ attested, workload, decision }: Issuance, newer: Snapshot): boolean {
  const { id, revision } = decision.entry.row
  if (newer.workloads.get(id)?.revision !== revision) return false
  try {
    return decide(newer, factsOf(attested), workload).entry.row.id === id
  } catch {
    return false
  }
}
