import { refuse } from '../../errors.ts'
import { revokeApiToken } from '../../store/tokens.ts'
import type { ChangeAction } from '../context.ts'
import { accountCaller } from '../tokens/rights.ts'

/** Ends the caller's own session. @throws Refusal `token_type` for an API token, which is revoked instead */
export const endLogin: ChangeAction<undefined> = async (context, tx, { apiTokens }) => {
  const { tokenId: id, operator: name } = accountCaller(context)
  if (!apiTokens.get(id)?.login) {
    throw refuse('token_type', { detail: 'this is an API token, not a login session: revoke it instead' })
  }
  await revokeApiToken(tx, id, context.time)
  return {
    result: undefined,
    entry: { resource: { kind: 'api-token', id, name } },
    changed: [{ table: 'api_token', where: { id } }],
  }
}
