import type { Change } from '../../audit/record.ts'
import { refuse } from '../../errors.ts'
import type { Knex } from '../../store/database.ts'
import { openIssuing } from '../../store/epochs.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import { type Context, checkReason } from '../context.ts'

/** Ends a review: from this entry on, Purser issues again. @throws Refusal `conflict` where issuing is open */
export async function openLog(
  context: Pick<Context, 'caller' | 'reason'>,
  tx: Knex.Transaction,
  { issuing, epoch }: Snapshot,
): Promise<Change<undefined>> {
  checkReason(context, 'is required')
  if (issuing) throw refuse('conflict', { detail: 'issuing is open' })
  return {
    result: undefined,
    entry: { resource: { kind: 'epoch', id: String(epoch) } },
    // Under the head lock, the last one taken.
    placed: () => openIssuing(tx),
  }
}
