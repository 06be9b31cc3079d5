import type { Change } from '../../audit/record.ts'
import { refuse } from '../../errors.ts'
import type { Knex } from '../../store/database.ts'
import { isSessionAt } from '../../store/sessions.ts'
import type { Context } from '../context.ts'

/**
 * A change by a workload that acts as an operator. The append judges under the head lock whether its session has ended: the
 * snapshot does not know.
 * @throws Refusal `unauthenticated` at the append
 */
export function whileSessionLasts<R>(
  { caller, time }: Pick<Context, 'caller' | 'time'>,
  tx: Knex.Transaction,
  change: Change<R>,
): Change<R> {
  const session = caller.kind === 'operator' ? caller.session : undefined
  if (!session) return change
  return {
    ...change,
    async placed(epoch, index) {
      if (!(await isSessionAt(tx, session, time))) throw refuse('unauthenticated')
      await change.placed?.(epoch, index)
    },
  }
}
