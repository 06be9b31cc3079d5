/**
 * Decides for an instance that attested. Where it is refused by facts that changed since it attested before, its sessions
 * that the new facts do not match end. Where it is granted, the append gives its sessions the new facts.
 */
import type { KeyObject } from 'node:crypto'
import type { Attested } from '../../attest/attest.ts'
import type { Recorder } from '../../audit/record.ts'
import { type Blockable, blockOf } from '../../authorize/blocks.ts'
import { type Decision, type Facts, decide } from '../../authorize/decide.ts'
import { instanceOf } from '../../authorize/session.ts'
import { isAccepted, matchesEntry } from '../../authorize/standing.ts'
import { Refusal } from '../../errors.ts'
import type { Database } from '../../store/database.ts'
import { type Issued, credentialsOf } from '../../store/issued.ts'
import { endSession, sessionsWithOtherFacts } from '../../store/sessions.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import type { Context } from '../context.ts'
import { accountHolds } from './accounts.ts'

/** The facts of a proof, as authorize/ takes them. */
export const factsOf = ({ attestor, selectors, podBound, joinToken, renews }: Attested): Facts => ({
  attestor,
  selectors,
  ...(podBound !== undefined && { podBound }),
  ...(joinToken && { workloadId: joinToken.workloadId }),
  // A renewal keeps the entry of its session.
  ...(renews && { workloadId: renews.session.workloadId }),
})

export type DecideAttested = (
  context: Pick<Context, 'requestId' | 'time' | 'address'>,
  snapshot: Snapshot,
  attested: Attested,
  workload: string | undefined,
  mac: KeyObject,
) => Promise<Decision>

const reason = 'its instance attested with other facts, which the workload entry does not match'

type Parts = { db: Pick<Database, 'knex'>; recorder: Pick<Recorder, 'change'> }

export function createDecideAttested({ db, recorder }: Parts): DecideAttested {
  async function endMismatched(
    { requestId, time, address: ip }: Parameters<DecideAttested>[0],
    snapshot: Snapshot,
    attested: Attested,
    mac: KeyObject,
  ): Promise<void> {
    const { selectors } = attested
    const actor = { kind: 'system' as const }
    const open = { requestId, action: 'session.end' as const, time, actor, source: { ip } }
    const sessions = await sessionsWithOtherFacts(db.knex, instanceOf(mac, attested), selectors, time)
    for (const session of sessions.filter((session) => !matchesEntry(snapshot, { ...session, selectors }))) {
      await recorder.change(open, async (tx) => ({
        result: undefined,
        entry: { resource: { kind: 'session', id: session.id }, change: { after: { ended: reason } } },
        // Under the head lock, in the order of the group commit. Another request may have ended it.
        placed: () => endSession(tx, session.id, reason, time),
      }))
    }
  }

  return async (context, snapshot, attested, workload, mac) => {
    try {
      return decide(snapshot, factsOf(attested), workload)
    } catch (error) {
      // The facts are new, whichever entry the request names.
      if (error instanceof Refusal && !attested.renews) await endMismatched(context, snapshot, attested, mac)
      throw error
    }
  }
}

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

/**
 * Whether an issuance would be decided alike under a newer snapshot. True for the same entry revision, attestor, keys and
 * proof, and no block: the same bytes would be signed again.
 */
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
