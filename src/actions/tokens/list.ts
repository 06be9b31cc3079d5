import { refuse } from '../../errors.ts'
import { rightsMay } from '../../operators/rights.ts'
import type { Database } from '../../store/database.ts'
import type { ApiTokenRow } from '../../store/rows.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import { readLastUses } from '../../store/tokens.ts'
import type { Context } from '../context.ts'
import { accountCaller, operatorNamed } from './rights.ts'

export type ListedToken = ApiTokenRow & { lastUsedAt?: Date }

/**
 * API tokens, of all operators or of one; `self` is the caller.
 * @throws Refusal `forbidden` for tokens of others without the permission to read all
 */
export const listTokens =
  ({ db }: { db: Pick<Database, 'knex'> }) =>
  async (
    context: Pick<Context, 'caller'>,
    { apiTokens }: Snapshot,
    { operator: name }: { operator?: string },
  ): Promise<ListedToken[]> => {
    const caller = accountCaller(context)
    const operator = name === undefined ? undefined : operatorNamed(caller, name)
    if (operator !== caller.operator && !rightsMay(caller, 'tokens.read')) throw refuse('forbidden')
    const lastUses = await readLastUses(db.knex)
    return [...apiTokens.values()]
      .filter((row) => operator === undefined || row.operator === operator)
      .map((row) => {
        const lastUsedAt = lastUses.get(row.id)
        return { ...row, ...(lastUsedAt && { lastUsedAt }) }
      })
  }
