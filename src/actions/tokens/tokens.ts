import type { Database } from '../../store/database.ts'
import { exchangeBootstrap } from './bootstrap.ts'
import { createToken } from './create.ts'
import { createJoinToken } from './join-token.ts'
import { listTokens } from './list.ts'
import { replaceToken } from './replace.ts'
import { revokeToken } from './revoke.ts'

type TokenActionParts = { randomBytes: (size: number) => Buffer; db: Pick<Database, 'knex'> }

export const createTokenActions = (parts: TokenActionParts) => ({
  exchangeBootstrap: exchangeBootstrap(parts),
  createJoinToken: createJoinToken(parts),
  list: listTokens(parts),
  create: createToken(parts),
  replace: replaceToken(parts),
  revoke: revokeToken,
})
