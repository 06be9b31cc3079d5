import type { AccountCaller } from '../../authorize/caller.ts'
import { refuse } from '../../errors.ts'
import { isLiveToken, withoutTokens } from '../../operators/admins.ts'
import { rightsMay } from '../../operators/rights.ts'
import type { ApiTokenRow } from '../../store/rows.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import { revokeApiToken } from '../../store/tokens.ts'
import type { ChangeAction, Context } from '../context.ts'
import { keepAdmin } from '../operators/state.ts'
import { accountCaller } from './rights.ts'

/** Revokes one of the caller's own tokens, or any as an admin. @throws Refusal `conflict` for the last admin token */
export const revokeToken: ChangeAction<string> = async (context, tx, snapshot, id) => {
  const { token } = findOwnToken(context, snapshot, id)
  const { time } = context
  keepAdmin(snapshot, withoutTokens(snapshot, [id]), time)
  await revokeApiToken(tx, id, time)
  return {
    result: undefined,
    entry: { resource: { kind: 'api-token', id, name: token.operator } },
    changed: [{ table: 'api_token', where: { id } }],
  }
}

/**
 * A live token of the caller, or any live token for an admin.
 * @throws Refusal `not_found` for a token that is not live; `forbidden`, the same for tokens of others and unknown ones
 */
export function findOwnToken(
  context: Pick<Context, 'caller' | 'time'>,
  { apiTokens }: Snapshot,
  id: string,
): { caller: AccountCaller; token: ApiTokenRow } {
  const caller = accountCaller(context)
  const row = apiTokens.get(id)
  if (row?.operator !== caller.operator && !rightsMay(caller, 'tokens.write')) throw refuse('forbidden')
  if (!row || !isLiveToken(row, context.time)) throw refuse('not_found')
  return { caller, token: row }
}
