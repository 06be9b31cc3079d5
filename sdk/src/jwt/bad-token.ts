import { PurserError } from '../errors.ts'

/** The checks of a token, in their order. */
export type Check =
  'form' | 'header' | 'kid' | 'alg' | 'signature' | 'claims' | 'sub' | 'aud' | 'exp' | 'iat' | 'nbf' | 'jti'

/** Names the failed check, and never a part of the token, since the message may reach a log. */
export const badToken = (check: Check, why: string): PurserError =>
  new PurserError('bad_token', `the token is refused (${check}): ${why}`)
