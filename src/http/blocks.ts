/** Blocks in force, and their release. A release lets the caller attest again; credentials that were revoked stay revoked. */
import { blockedCaller, releaseRevocation } from '../actions/revocations/release.ts'
import { rfc3339 } from '../issue/lifetime.ts'
import { type BlockInForce, listBlocks } from '../store/blocks.ts'
import type { Database } from '../store/database.ts'
import { type ListParts, createPages } from './lists.ts'
import { rendered } from './rendered.ts'
import { json } from './request.ts'
import type { ChangeState, Read } from './route.ts'

export type BlockRouteParts = ListParts & { db: Pick<Database, 'knex'> }

const show = ({ revocation, since, reason, ...block }: BlockInForce) => ({
  id: revocation,
  ...blockedCaller(block),
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

    release: async (request, tx) =>
      rendered(await releaseRevocation(request, tx, request.params.id ?? ''), (released) => json(released)),
  }
}
