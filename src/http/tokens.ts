/** Bootstrap tokens, API tokens and join tokens. Their values are not stored: the reply that issues one shows it once. */
import type { Actions } from '../actions/actions.ts'
import { rfc3339 } from '../issue/lifetime.ts'
import type { ApiTokenRow } from '../store/rows.ts'
import { idempotent } from './idempotency.ts'
import { type ListParts, createPages } from './lists.ts'
import { idOf } from './params.ts'
import { rendered } from './rendered.ts'
import { bodyOf, json, noContent } from './request.ts'
import type { ChangeState, Read } from './route-kinds.ts'
import { timeMember } from './times.ts'

/** A key that orders the newest token first. */
const newestFirst = (row: ApiTokenRow): string =>
  `${String(Number.MAX_SAFE_INTEGER - row.createdAt.getTime()).padStart(16, '0')} ${row.id}`

const show = ({ id, operator, role, createdAt, expiresAt, revokedAt }: ApiTokenRow) => ({
  id,
  operator,
  role,
  createdAt: rfc3339(createdAt),
  expiresAt: rfc3339(expiresAt),
  ...timeMember('revokedAt', revokedAt),
})

type Routes = { list: Read } & Record<'exchangeBootstrap' | 'createJoinToken' | 'revoke', ChangeState>

export function createTokenRoutes(parts: ListParts & { actions: Pick<Actions, 'tokens'> }): Routes {
  const { tokens } = parts.actions
  const page = createPages(parts)
  return {
    exchangeBootstrap: async (request, tx) =>
      rendered(await tokens.exchangeBootstrap(request, tx), (token) => json(token)),

    createJoinToken: idempotent(parts, async (request, tx, snapshot) =>
      rendered(await tokens.createJoinToken(request, tx, snapshot, bodyOf(request, 'createJoinToken')), (token) =>
        json(token, { status: 201 }),
      ),
    ),

    list: async (request, snapshot) =>
      page(request, snapshot, { list: 'tokens', rows: snapshot.apiTokens.values(), keyOf: newestFirst, show }),

    revoke: async (request, tx, snapshot) =>
      rendered(await tokens.revoke(request, tx, snapshot, idOf(request)), () => noContent),
  }
}
