/** Blocks in force, and their release. A release lets the caller attest again; credentials that were revoked stay revoked. */
import { refuse } from '../errors.ts'
import { rfc3339 } from '../issue/lifetime.ts'
import { type BlockInForce, listBlocks, lockRevocations, releaseBlocks } from '../store/blocks.ts'
import type { Database } from '../store/database.ts'
import { type ListParts, createPages } from './lists.ts'
import { json } from './request.ts'
import type { ChangeState, Read } from './route.ts'
import { checkReveal } from '../actions/secrets/reader.ts'

export type BlockRouteParts = ListParts & { db: Pick<Database, 'knex'> }

const nameOf = ({ kind, session, spiffeId }: Pick<BlockInForce, 'kind' | 'session' | 'spiffeId'>) => ({
  kind,
  ...(session !== undefined && { session }),
  ...(spiffeId !== undefined && { spiffeId }),
})

const show = ({ revocation, since, reason, ...block }: BlockInForce) => ({
  id: revocation,
  ...nameOf(block),
  since: rfc3339(since),
  ...(reason !== undefined && { reason }),
})

export function createBlockRoutes(parts: BlockRouteParts): { list: Read; release: ChangeState } {
  const page = createPages(parts)
  return {
    async list(request, snapshot) {
      const rows = await listBlocks(parts.db.knex, request.time)
      return page(request, snapshot, { list: 'revocations', rows, keyOf: (block) => block.id, show })
    },

    async release(request, tx) {
      checkReveal(request, 'must say why the block is released: it goes into the log')
      const { id = '' } = request.params
      await lockRevocations(tx)
      const released = (await releaseBlocks(tx, id, request.time)).map(nameOf)
      if (released.length === 0) throw refuse('not_found', { detail: 'no block in force is of this revocation' })
      return {
        result: json({ id, released }),
        entry: { resource: { kind: 'revocation', id }, change: { after: { released } } },
        changed: [{ table: 'block', where: { revocation: id } }],
      }
    },
  }
}
