import { PurserError } from '../errors.ts'

/** What a token is held against, in the order in which it is. */
export type Check =
  'form' | 'header' | 'kid' | 'alg' | 'signature' | 'claims' | 'sub' | 'aud' | 'exp' | 'iat' | 'nbf' | 'jti'

/** Names the check that failed and never the token, nor anything of it: the message may reach a log. */
export const badToken = (check: Check, why: string): PurserError =>
  new PurserError('bad_token', `the token is refused (${check}): ${why}`)
