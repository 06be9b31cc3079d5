/** Releases the blocks of a revocation: the caller may attest again. Credentials that were revoked stay revoked. */
import type { Change } from '../../audit/record.ts'
import { boundOf } from '../../authorize/caller.ts'
import { refuse } from '../../errors.ts'
import { hasSpiffeId } from '../../names/bound.ts'
import { type BlockInForce, lockRevocations, releaseBlocks } from '../../store/blocks.ts'
import type { Knex } from '../../store/database.ts'
import { type Context, checkReason } from '../context.ts'

type Named = Pick<BlockInForce, 'kind' | 'session' | 'spiffeId'>

/** The caller that a block keeps out. */
export const blockedCaller = ({ kind, session, spiffeId }: Named) => ({
  kind,
  ...(session !== undefined && { session }),
  ...(spiffeId !== undefined && { spiffeId }),
})

/** @throws Refusal `not_found` where no block of the revocation is in force */
export async function releaseRevocation(
  context: Pick<Context, 'caller' | 'reason' | 'time'>,
  tx: Knex.Transaction,
  id: string,
): Promise<Change<{ id: string; released: ReturnType<typeof blockedCaller>[] }>> {
  checkReason(context, 'must say why the block is released: it goes into the log')
  // The block of a containment is released with the containment.
  if (!id.startsWith('rev_')) throw refuse('not_found')
  await lockRevocations(tx)
  const blocks = await releaseBlocks(tx, id, context.time)
  const bound = boundOf(context.caller)
  const isVisible = blocks.every(({ spiffeId = '' }) => hasSpiffeId(bound, spiffeId))
  const released = blocks.map(blockedCaller)
  if (released.length === 0 || !isVisible)
    throw refuse('not_found', { detail: 'no block in force is of this revocation' })
  return {
    result: { id, released },
    entry: { resource: { kind: 'revocation', id }, change: { after: { released } } },
    changed: [{ table: 'block', where: { revocation: id } }],
  }
}
