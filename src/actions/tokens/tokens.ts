import { exchangeBootstrap } from './bootstrap.ts'
import { createJoinToken } from './join-token.ts'
import { revokeToken } from './revoke.ts'

export const createTokenActions = (parts: { randomBytes: (size: number) => Buffer }) => ({
  exchangeBootstrap: exchangeBootstrap(parts),
  createJoinToken: createJoinToken(parts),
  revoke: revokeToken,
})
