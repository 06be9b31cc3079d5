/** Bootstrap tokens, API tokens and join tokens. Their values are not stored: the reply that issues one shows it once. */
import type { Actions } from '../actions/actions.ts'
import { rfc3339 } from '../issue/lifetime.ts'
import type { ListedToken } from '../actions/tokens/list.ts'
import type { CreatedToken } from '../actions/tokens/new-api-token.ts'
import { shownBound } from '../actions/operators/state.ts'
import { boundIn } from './bounds.ts'
import { idempotent } from './idempotency.ts'
import { type ListParts, createPages } from './lists.ts'
import { idOf } from './params.ts'
import { rendered } from './rendered.ts'
import { type Reply, bodyOf, json, noContent, queryOf } from './request.ts'
import type { ChangeState, Read } from './route-kinds.ts'
import { timeMember } from './times.ts'
import { checkTokenRoutes } from './token-routes.ts'

/** A key that orders the newest token first. */
const newestFirst = (row: ListedToken): string =>
  `${String(Number.MAX_SAFE_INTEGER - row.createdAt.getTime()).padStart(16, '0')} ${row.id}`

const show = ({
  id,
  operator,
  role,
  routes,
  bound,
  description,
  createdAt,
  expiresAt,
  lastUsedAt,
  revokedAt,
  login,
}: ListedToken) => ({
  id,
  operator,
  role,
  ...(routes && { routes }),
  bound: shownBound(bound),
  ...(description !== undefined && { description }),
  createdAt: rfc3339(createdAt),
  expiresAt: rfc3339(expiresAt),
  ...timeMember('lastUsedAt', lastUsedAt),
  ...timeMember('revokedAt', revokedAt),
  ...(login && { login }),
})

type Routes = { list: Read } & Record<
  'exchangeBootstrap' | 'createJoinToken' | 'create' | 'replace' | 'revoke',
  ChangeState
>

const created = (token: CreatedToken): Reply => json(token, { status: 201 })

export function createTokenRoutes(parts: ListParts & { actions: Pick<Actions, 'tokens'> }): Routes {
  const { tokens } = parts.actions
  const page = createPages(parts)
  return {
    exchangeBootstrap: async (request, tx, snapshot) =>
      rendered(await tokens.exchangeBootstrap(request, tx, snapshot), (token) => json(token)),

    createJoinToken: idempotent(parts, async (request, tx, snapshot) =>
      rendered(await tokens.createJoinToken(request, tx, snapshot, bodyOf(request, 'createJoinToken')), (token) =>
        json(token, { status: 201 }),
      ),
    ),

    async list(request, snapshot) {
      const rows = await tokens.list(request, snapshot, queryOf(request, 'listTokens'))
      return page(request, snapshot, { list: 'tokens', rows, keyOf: newestFirst, show })
    },

    create: idempotent(parts, async (request, tx, snapshot) => {
      const { bound, ...spec } = bodyOf(request, 'createToken')
      checkTokenRoutes(spec.routes ?? [])
      const writtenBound = boundIn({ ...(bound && { bound }) })
      return rendered(await tokens.create(request, tx, snapshot, { ...spec, ...writtenBound }), created)
    }),

    replace: idempotent(parts, async (request, tx, snapshot) => {
      const spec = request.body === undefined ? {} : bodyOf(request, 'replaceToken')
      return rendered(await tokens.replace(request, tx, snapshot, { id: idOf(request), ...spec }), created)
    }),

    revoke: async (request, tx, snapshot) =>
      rendered(await tokens.revoke(request, tx, snapshot, idOf(request)), () => noContent),
  }
}
