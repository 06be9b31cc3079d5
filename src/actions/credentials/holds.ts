/** Whether an issuance that was decided under one snapshot would be decided alike under a newer one. */
import type { Attested } from '../../attest/attest.ts'
import type { Issued } from '../../audit/entry.ts'
import { type Blockable, blockOf } from '../../authorize/blocks.ts'
import { type Decision, decide } from '../../authorize/decide.ts'
import { isAccepted } from '../../authorize/standing.ts'
import type { WorkloadRow } from '../../store/rows.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import { accountHolds } from './account-standing.ts'
import { factsOf } from './facts.ts'

/**
 * True for the same entry revision, attestor, keys and proof, and no block: the same bytes would be signed again.
 * @param old the snapshot of the decision
 * @param workload the entry that the request names
 */
export function issuanceHolds(
  snapshot: Snapshot,
  old: Snapshot,
  attested: Attested,
  workload: string | undefined,
  { entry }: Decision,
  session: Blockable,
  issued: Issued,
  now: Date,
): boolean {
  const { attestorId } = entry.row
  if (snapshot.epoch !== old.epoch || !snapshot.issuing) return false
  if (snapshot.attestors.get(attestorId)?.revision !== old.attestors.get(attestorId)?.revision) return false
  if (!isDecidedAlike(snapshot, attested, workload, entry.row)) return false
  const keyIds = [issued.x509?.keyId, ...(issued.jwts ?? []).map((jwt) => jwt.keyId)]
  if (keyIds.some((id) => id !== undefined && snapshot.keys.get(id)?.withdrawnAt)) return false
  if (!accountHolds(snapshot, attested)) return false
  if (attested.renews && !isAccepted(snapshot, attested.renews)) return false
  return blockOf(snapshot, session, now) === undefined
}

/** Other entries may have changed: only whether these facts still lead to the same revision of this one matters. */
function isDecidedAlike(
  snapshot: Snapshot,
  attested: Attested,
  workload: string | undefined,
  row: WorkloadRow,
): boolean {
  if (snapshot.workloads.get(row.id)?.revision !== row.revision) return false
  try {
    return decide(snapshot, factsOf(attested), workload).entry.row.id === row.id
  } catch {
    return false
  }
}
