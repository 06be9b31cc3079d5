import { refuse } from '../../errors.ts'
import { openIssuing } from '../../store/epochs.ts'
import { type ChangeAction, checkReason } from '../context.ts'

/** Ends a review: from this entry on, Purser issues again. @throws Refusal `conflict` where issuing is open */
export const openLog: ChangeAction<void> = async (context, tx, { issuing, epoch }) => {
  checkReason(context, 'is required')
  if (issuing) throw refuse('conflict', { detail: 'issuing is open' })
  return {
    result: undefined,
    entry: { resource: { kind: 'epoch', id: String(epoch) } },
    // Under the head lock, the last one taken.
    placed: () => openIssuing(tx),
  }
}
