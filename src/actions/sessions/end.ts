/** A workload gives up its session: its access tokens end with it, and introspection no longer accepts its SVIDs. */
import type { Change } from '../../audit/record.ts'
import { refuse } from '../../errors.ts'
import type { Knex } from '../../store/database.ts'
import { endSession } from '../../store/sessions.ts'
import type { Context } from '../context.ts'

/** @throws Refusal `token_type`, `session_ended` */
export async function endOwnSession(
  { caller, time }: Pick<Context, 'caller' | 'time'>,
  tx: Knex.Transaction,
): Promise<Change<undefined>> {
  if (caller.kind !== 'session') throw refuse('token_type')
  const { id } = caller.session
  return {
    result: undefined,
    entry: { resource: { kind: 'session', id } },
    // Under the head lock, in the order of the group commit. In the other order, an issuance of this session and its end
    // would deadlock, and every other append would wait for both.
    async placed() {
      if ((await endSession(tx, id, 'given up', time)) !== 1) throw refuse('session_ended')
    },
  }
}
