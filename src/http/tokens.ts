/** Operators' API tokens: which there are, and revoking one. Their values are never stored, so never shown. */
import { noContent } from './request.ts'
import { refuse } from '../errors.ts'
import { rfc3339 } from '../issue/lifetime.ts'
import { revokeApiToken } from '../store/api-tokens.ts'
import type { ApiTokenRow } from '../store/rows.ts'
import { type ListParts, createPages } from './lists.ts'
import type { ChangeState, Read } from './route.ts'

/** Newest first: ids break ties, and the key grows as time shrinks. */
const newestFirst = (row: ApiTokenRow): string =>
  `${String(Number.MAX_SAFE_INTEGER - row.createdAt.getTime()).padStart(16, '0')} ${row.id}`

const show = ({ id, operator, role, createdAt, expiresAt, revokedAt }: ApiTokenRow) => ({
  id,
  operator,
  role,
  createdAt: rfc3339(createdAt),
  expiresAt: rfc3339(expiresAt),
  ...(revokedAt && { revokedAt: rfc3339(revokedAt) }),
})

export function createTokenRoutes(parts: ListParts): { list: Read; revoke: ChangeState } {
  const page = createPages(parts)
  return {
    list: async (request, snapshot) =>
      page(request, snapshot, { list: 'tokens', rows: snapshot.apiTokens.values(), keyOf: newestFirst, show }),

    async revoke({ params, time }, tx, snapshot) {
      const live = [...snapshot.apiTokens.values()].filter((row) => !row.revokedAt && row.expiresAt > time)
      const token = live.find((row) => row.id === params.id)
      if (!token) throw refuse('not_found')
      if (token.role === 'admin' && live.filter((row) => row.role === 'admin').length === 1) {
        throw refuse('conflict', { detail: 'it is the last admin token: nobody could make another' })
      }
      await revokeApiToken(tx, token.id, time)
      return {
        result: noContent,
        entry: { resource: { kind: 'api-token', id: token.id, name: token.operator } },
        changed: [{ table: 'api_token', where: { id: token.id } }],
      }
    },
  }
}
