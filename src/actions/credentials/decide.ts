/**
 * Decides for an instance that attested. Where it is refused by facts that changed since it attested before, its sessions
 * that the new facts do not match end. Where it is granted, the append gives its sessions the new facts.
 */
import type { KeyObject } from 'node:crypto'
import type { Attested } from '../../attest/attest.ts'
import type { Recorder } from '../../audit/record.ts'
import { type Decision, decide } from '../../authorize/decide.ts'
import { instanceOf } from '../../authorize/session.ts'
import { matchesEntry } from '../../authorize/standing.ts'
import { Refusal } from '../../errors.ts'
import type { Database } from '../../store/database.ts'
import { endSession, sessionsWithOtherFacts } from '../../store/sessions.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import type { Context } from '../context.ts'
import { factsOf } from './facts.ts'

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
