import { refuse } from '../../errors.ts'
import { revokeApiToken } from '../../store/tokens.ts'
import type { ChangeAction } from '../context.ts'

/** @throws Refusal `not_found` for a token that is not live, `conflict` for the last admin token */
export const revokeToken: ChangeAction<string> = async ({ time }, tx, { apiTokens }, id) => {
  const live = [...apiTokens.values()].filter((row) => !row.revokedAt && row.expiresAt > time)
  const token = live.find((row) => row.id === id)
  if (!token) throw refuse('not_found')
  if (token.role === 'admin' && live.filter((row) => row.role === 'admin').length === 1) {
    throw refuse('conflict', { detail: 'it is the last admin token, without which no other can be issued' })
  }
  await revokeApiToken(tx, id, time)
  return {
    result: undefined,
    entry: { resource: { kind: 'api-token', id, name: token.operator } },
    changed: [{ table: 'api_token', where: { id } }],
  }
}
