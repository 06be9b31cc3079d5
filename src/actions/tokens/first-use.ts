/** The first use of an API token, recorded once: requests that use it first at the same time are one first use. */
import type { Recorder } from '../../audit/record.ts'
import type { Opening } from '../../audit/seal.ts'
import { markFirstUse } from '../../operators/bootstrap.ts'

export type FirstUse = (open: Opening, tokenId: string) => Promise<void>

/** Thrown inside the transaction, so that it rolls back: another request was first. */
const recordedAlready = new Error('the first use is recorded already')

export function createFirstUse({ recorder }: { recorder: Pick<Recorder, 'change'> }): FirstUse {
  return async (open, tokenId) => {
    try {
      await recorder.change({ ...open, action: 'token.use' }, async (tx, snapshot) => {
        if (snapshot.apiTokens.get(tokenId)?.used) throw recordedAlready
        return markFirstUse(tx, tokenId, open.time)
      })
    } catch (error) {
      if (error !== recordedAlready) throw error
    }
  }
}
