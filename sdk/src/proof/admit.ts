/** Whether what a source gave may be sent: it must be meant for this server. */
import { PurserError } from '../errors.ts'
import { claimsOf } from '../json/parse.ts'

export type Proof = { kind: 'jwt' | 'join-token'; token: string }

/** Bytes; the server takes no longer one. */
export const max = 16_384

/**
 * What may be sent: a JWT that names one of the server's audiences, or a join token of Purser's own.
 * @throws PurserError `bad_proof`, `wrong_audience`; it was not sent then
 */
export function admitProof(read: string, audiences: readonly string[], source: string): Proof {
  const token = read.trim()
  if (token === '') throw new PurserError('bad_proof', `${source} is empty`)
  if (token.length > max) throw new PurserError('bad_proof', `${source} holds more than ${max} bytes: no token`)
  if (/^purser_join_[\w-]+$/.test(token)) return { kind: 'join-token', token }
  const claims = claimsOf(token)
  if (!claims) {
    throw new PurserError(
      'bad_proof',
      `${source} is no JWT and no join token, so it was not sent. What Purser takes is a token of the orchestrator ` +
        `with the audience ${audiences.join(' or ')}`,
    )
  }
  const named = Array.isArray(claims.aud) ? claims.aud : [claims.aud]
  if (named.some((one) => typeof one === 'string' && audiences.includes(one))) return { kind: 'jwt', token }
  throw new PurserError(
    'wrong_audience',
    `${source} is addressed to ${shown(named)} and not to Purser (${audiences.join(', ')}), so it was not sent: ` +
      'whoever it is sent to could use it there. Request a token with the audience of Purser',
  )
}

const shown = (audiences: readonly unknown[]): string =>
  audiences.map((audience) => (typeof audience === 'string' ? audience.slice(0, 100) : 'nobody')).join(', ')
