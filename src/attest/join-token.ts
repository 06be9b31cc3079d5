/**
 * Join tokens are for workloads without an orchestrator. A token belongs to one workload entry, and each use of it to the
 * key that it certifies. The append counts the uses.
 */
import { refuse } from '../errors.ts'
import { createSelectors } from '../names/selectors.ts'
import { hashToken, tokenKind } from '../names/token.ts'
import type { AttestorRow } from '../store/rows.ts'
import type { JoinTokenRow } from '../store/tokens.ts'
import type { Attested } from './attestor.ts'

/** The kind of the built-in attestor `join`, which the first start creates. */
export const joinTokenKind = 'join-token'

export type FindJoinToken = (hash: Buffer) => Promise<JoinTokenRow | undefined>

/** @throws Refusal `join_token`, equal for unknown and expired tokens; the append refuses a spent one */
export async function attestJoinToken(
  row: AttestorRow,
  token: string,
  find: FindJoinToken,
  now: Date,
): Promise<Attested> {
  const joinToken = tokenKind(token) === 'join' ? await find(hashToken(token)) : undefined
  if (!joinToken || joinToken.expiresAt <= now) throw refuse('join_token')
  const { id, workloadId, expiresAt } = joinToken
  return {
    attestor: row,
    selectors: createSelectors([['join:token', id]]),
    instance: ['join', id],
    joinToken: { id, workloadId, expiresAt },
  }
}
