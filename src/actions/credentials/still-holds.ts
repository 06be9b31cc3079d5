/** Whether an issuance that was decided under one snapshot would be decided alike under a newer one. */
import type { Attested } from '../../attest/attest.ts'
import type { Issued } from '../../audit/entry.ts'
import { type Decision, decide } from '../../authorize/decide.ts'
import { type Blockable, checkBlocks } from '../../authorize/blocks.ts'
import { isAccepted } from '../../authorize/standing.ts'
import type { WorkloadRow } from '../../store/rows.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import { accountHolds } from './account-pins.ts'
import { factsOf } from './facts.ts'

/**
 * The same entry revision, attestor, keys and proof, and no block: then the bytes that were signed are what would be
 * signed again.
 */
export function stillHolds(
  snapshot: Snapshot,
  old: Snapshot,
  attested: Attested,
  named: string | undefined,
  { entry }: Decision,
  session: Blockable,
  issued: Issued,
  now: Date,
): boolean {
  const { attestorId } = entry.row
  if (snapshot.epoch !== old.epoch || !snapshot.issuing) return false
  if (snapshot.attestors.get(attestorId)?.revision !== old.attestors.get(attestorId)?.revision) return false
  if (!decidedAlike(snapshot, attested, named, entry.row)) return false
  const keyIds = [issued.x509?.keyId, ...(issued.jwts ?? []).map((jwt) => jwt.keyId)]
  if (keyIds.some((id) => id !== undefined && snapshot.keys.get(id)?.withdrawnAt)) return false
  if (!accountHolds(snapshot, attested)) return false
  if (attested.renews && !isAccepted(snapshot, attested.renews)) return false
  try {
    checkBlocks(snapshot, session, now)
  } catch {
    return false
  }
  return true
}

/** Entries come and go; what counts is whether these facts lead to this one, as it was. */
function decidedAlike(snapshot: Snapshot, attested: Attested, named: string | undefined, row: WorkloadRow): boolean {
  if (snapshot.workloads.get(row.id)?.revision !== row.revision) return false
  try {
    return decide(snapshot, factsOf(attested), named).entry.row.id === row.id
  } catch {
    return false
  }
}
