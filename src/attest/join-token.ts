/**
 * Join tokens: for what no orchestrator vouches for. A token belongs to one workload entry, and a use of it to the key
 * that it is redeemed with; what is left of it is counted where it is redeemed, in the append (migrations/001).
 */
import { refuse } from '../errors.ts'
import { createSelectors } from '../names/selectors.ts'
import { hashToken, tokenKind } from '../names/token.ts'
import type { JoinTokenRow } from '../store/join-tokens.ts'
import type { AttestorRow } from '../store/rows.ts'
import type { Attested } from './attestor.ts'

/** The kind of the built-in attestor `join`, which the first start makes and nobody configures. */
export const joinTokenKind = 'join-token'

export type FindJoinToken = (hash: Buffer) => Promise<JoinTokenRow | undefined>

/** @throws Refusal `join_token`, the same for unknown and expired ones; a used-up one is refused by the append */
export async function attestJoinToken(
  row: AttestorRow,
  token: string,
  find: FindJoinToken,
  now: Date,
): Promise<Attested> {
  const found = tokenKind(token) === 'join' ? await find(hashToken(token)) : undefined
  if (!found || found.expiresAt <= now) throw refuse('join_token')
  const { id, workloadId, expiresAt } = found
  return {
    attestor: row,
    selectors: createSelectors([['join:token', id]]),
    instance: ['join', id],
    joinToken: { id, workloadId, expiresAt },
  }
}
