/** Decides whether a proof may be sent: it must be addressed to this server. */
import { PurserError } from '../errors.ts'
import { claimsOf } from '../json/parse.ts'

export type Proof = { kind: 'jwt' | 'join-token'; token: string }

/** Bytes, the server's limit. */
export const maxLength = 16_384

/**
 * Admits a JWT that names one of the server's audiences, or a join token.
 * @throws PurserError `bad_proof`, `wrong_audience`
 */
export function admitProof(text: string, audiences: readonly string[], source: string): Proof {
  const token = text.trim()
  if (token === '') throw new PurserError('bad_proof', `${source} is empty`)
  if (token.length > maxLength)
    throw new PurserError('bad_proof', `${source} contains more than ${maxLength} bytes, so it is not a token`)
  if (/^purser_join_[\w-]+$/.test(token)) return { kind: 'join-token', token }
  const claims = claimsOf(token)
  if (!claims) {
    throw new PurserError(
      'bad_proof',
      `${source} is neither a JWT nor a join token, so it was not sent. Purser accepts a token of the orchestrator ` +
        `with the audience ${audiences.join(' or ')}`,
    )
  }
  const tokenAudiences = Array.isArray(claims.aud) ? claims.aud : [claims.aud]
  if (tokenAudiences.some((name) => typeof name === 'string' && audiences.includes(name))) return { kind: 'jwt', token }
  throw new PurserError(
    'wrong_audience',
    `${source} is addressed to ${listOf(tokenAudiences)} and not to Purser (${audiences.join(', ')}), so it was not sent: ` +
      'its receiver could use it there. Request a token with the audience of Purser',
  )
}

const listOf = (audiences: readonly unknown[]): string =>
  audiences.map((audience) => (typeof audience === 'string' ? audience.slice(0, 100) : 'no audience')).join(', ')
