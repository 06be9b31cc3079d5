/**
 * The way in before there are people: one bootstrap token, valid for an hour, exchanged for an admin API token. Until
 * that token's first use the exchange can be asked again, since replies get lost; each new one revokes the earlier.
 */
import type { Change } from '../audit/record.ts'
import { refuse } from '../errors.ts'
import type { OpaqueToken } from '../names/token.ts'
import { insertApiToken, revokeApiToken, setFirstUsed } from '../store/api-tokens.ts'
import {
  endLiveBootstrapTokens,
  endBootstrapTokenOf,
  lockBootstrapToken,
  insertBootstrapToken,
  setApiToken,
} from '../store/bootstrap-tokens.ts'
import type { Knex } from '../store/database.ts'

export const bootstrapSeconds = 3600
const apiTokenSeconds = 30 * 24 * 3600

export type BootstrapReply = { operator: 'admin'; tokenId: string; token: string; expiresAt: string }

/** @throws Refusal `unauthenticated`, the same for unknown, expired and dead tokens */
export async function exchangeBootstrap(
  tx: Knex.Transaction,
  hash: Buffer,
  made: OpaqueToken,
  now: Date,
): Promise<Change<BootstrapReply>> {
  const held = await lockBootstrapToken(tx, hash, now)
  if (!held) throw refuse('unauthenticated')
  const earlier = held.apiTokenId
  const { id } = made
  const expires = new Date(now.getTime() + apiTokenSeconds * 1000)
  if (earlier !== undefined) await revokeApiToken(tx, earlier, now)
  const admin = { operator: 'admin', role: 'admin' } as const
  await insertApiToken(tx, { id, hash: made.hash, ...admin, createdAt: now, expiresAt: expires })
  await setApiToken(tx, held.id, id)
  const expiresAt = expires.toISOString()
  return {
    result: { operator: 'admin', tokenId: id, token: made.token, expiresAt },
    entry: {
      actor: { kind: 'bootstrap', tokenId: held.id },
      issued: { apiToken: { id, expiresAt } },
      ...(earlier !== undefined && { detail: { revokedTokenId: earlier } }),
    },
    changed: [id, ...(earlier === undefined ? [] : [earlier])].map((id) => ({ table: 'api_token', where: { id } })),
  }
}

/** A new bootstrap token beside the first start's: it ends those that are still live. */
export async function replaceBootstrapToken(
  tx: Knex.Transaction,
  made: Pick<OpaqueToken, 'id' | 'hash'>,
  now: Date,
): Promise<{ entry: Change<undefined>['entry']; expiresAt: string }> {
  const ended = await endLiveBootstrapTokens(tx, now)
  const expires = new Date(now.getTime() + bootstrapSeconds * 1000)
  await insertBootstrapToken(tx, { id: made.id, hash: made.hash, createdAt: now, expiresAt: expires })
  const expiresAt = expires.toISOString()
  return {
    entry: {
      resource: { kind: 'bootstrap-token', id: made.id },
      detail: { expiresAt, ended },
    },
    expiresAt,
  }
}

/** The first use of an API token: from here on the bootstrap token that made it is dead. */
export async function markFirstUse(tx: Knex.Transaction, tokenId: string, now: Date): Promise<Change<undefined>> {
  await setFirstUsed(tx, tokenId, now)
  const bootstrapTokenEnded = await endBootstrapTokenOf(tx, tokenId, now)
  return {
    result: undefined,
    entry: {
      action: 'token.use',
      resource: { kind: 'api-token', id: tokenId },
      detail: { bootstrapTokenEnded },
    },
    changed: [{ table: 'api_token', where: { id: tokenId } }],
  }
}
