/** The first use of an API token ends the bootstrap token that it came from. It is recorded once, also among concurrent requests. */
import type { Change, Recorder } from '../../audit/record.ts'
import type { Opening } from '../../audit/seal.ts'
import type { Knex } from '../../store/database.ts'
import { endBootstrapTokenOf, setFirstUsed } from '../../store/tokens.ts'

export type FirstUse = (open: Opening, tokenId: string) => Promise<void>

/** Thrown inside the transaction, so that it rolls back: another request was first. */
const alreadyRecorded = new Error('the first use is recorded already')

export function createFirstUse({ recorder }: { recorder: Pick<Recorder, 'change'> }): FirstUse {
  return async (open, tokenId) => {
    try {
      await recorder.change(open, async (tx, snapshot) => {
        if (snapshot.apiTokens.get(tokenId)?.used) throw alreadyRecorded
        return markFirstUse(tx, tokenId, open.time)
      })
    } catch (error) {
      if (error !== alreadyRecorded) throw error
    }
  }
}

async function markFirstUse(tx: Knex.Transaction, tokenId: string, now: Date): Promise<Change<undefined>> {
  await setFirstUsed(tx, tokenId, now)
  const bootstrapTokenEnded = await endBootstrapTokenOf(tx, tokenId, now)
  return {
    result: undefined,
    entry: {
      action: 'token.use',
      resource: { kind: 'api-token', id: tokenId },
      detail: { bootstrapTokenEnded },
    },
    changed: [{ table: 'api_token', where: { id: tokenId } }],
  }
}
