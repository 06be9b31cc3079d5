import { refuse } from '../errors.ts'
import { noContent } from './request.ts'
import { openIssuing } from '../store/epochs.ts'
import type { ChangeState } from './route.ts'

/** The end of a review: from this entry on Purser issues again. */
export const openLog: ChangeState = async ({ reason }, tx, { issuing, epoch }) => {
  if (reason === undefined) {
    throw refuse('invalid_request', { errors: [{ pointer: '/header/Purser-Reason', detail: 'is required' }] })
  }
  if (issuing) throw refuse('conflict', { detail: 'issuing is open' })
  return {
    result: noContent,
    entry: { resource: { kind: 'epoch', id: String(epoch) } },
    // Under the head lock, the last one taken.
    placed: () => openIssuing(tx),
  }
}
