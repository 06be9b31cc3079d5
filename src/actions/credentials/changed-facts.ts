/**
 * An instance that attests with other facts, and is refused by them: its sessions that do not stand by the new facts end.
 * Where it is a workload by them, the append gives its sessions the new facts.
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
import { factsOf } from './facts.ts'
import type { Context } from '../context.ts'

export type DecideAttested = (
  request: Pick<Context, 'requestId' | 'time' | 'address'>,
  snapshot: Snapshot,
  attested: Attested,
  named: string | undefined,
  mac: KeyObject,
) => Promise<Decision>

const reason = 'its instance attested with other facts, which the workload entry does not match'

type Parts = { db: Pick<Database, 'knex'>; recorder: Pick<Recorder, 'change'> }

export function createDecideAttested({ db, recorder }: Parts): DecideAttested {
  async function endChanged(
    { requestId, time, address: ip }: Parameters<DecideAttested>[0],
    snapshot: Snapshot,
    attested: Attested,
    mac: KeyObject,
  ): Promise<void> {
    const { selectors } = attested
    const others = await sessionsWithOtherFacts(db.knex, instanceOf(mac, attested), selectors, time)
    for (const session of others.filter((other) => !matchesEntry(snapshot, { ...other, selectors }))) {
      const open = {
        requestId,
        action: 'session.end' as const,
        time,
        actor: { kind: 'system' as const },
        source: { ip },
      }
      await recorder.change(open, async (tx) => ({
        result: undefined,
        entry: { resource: { kind: 'session', id: session.id }, change: { after: { ended: reason } } },
        // Under the head lock, in the order of the group commit. Another request may have ended it.
        placed: () => endSession(tx, session.id, reason, time),
      }))
    }
  }

  return async (request, snapshot, attested, named, mac) => {
    try {
      return decide(snapshot, factsOf(attested), named)
    } catch (error) {
      // Whatever the request names: the facts are the newer ones.
      if (error instanceof Refusal && !attested.renews) await endChanged(request, snapshot, attested, mac)
      throw error
    }
  }
}
