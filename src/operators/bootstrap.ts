/**
 * The way in before there are people: one bootstrap token, valid for an hour, exchanged for an admin API token. Until
 * that token's first use the exchange can be asked again, since replies get lost; each new one revokes the earlier.
 */
import type { Change } from '../audit/record.ts'
import { refuse } from '../errors.ts'
import type { OpaqueToken } from '../names/token.ts'
import type { Knex } from '../store/database.ts'

export const bootstrapSeconds = 3600
const apiTokenSeconds = 30 * 24 * 3600

export type BootstrapReply = { operator: 'admin'; tokenId: string; token: string; expiresAt: string }

type Row = { id: string; expires_at: Date; api_token_id: string | null; dead_at: Date | null }

/** @throws Refusal `unauthenticated`, the same for unknown, expired and dead tokens */
export async function exchangeBootstrap(
  tx: Knex.Transaction,
  hash: Buffer,
  made: OpaqueToken,
  now: Date,
): Promise<Change<BootstrapReply>> {
  const row: Row | undefined = await tx('bootstrap_token').where({ hash }).forUpdate().first()
  if (!row || row.dead_at || row.expires_at <= now) throw refuse('unauthenticated')
  const expires = new Date(now.getTime() + apiTokenSeconds * 1000)
  if (row.api_token_id) await tx('api_token').where({ id: row.api_token_id }).update({ revoked_at: now })
  await tx('api_token').insert({
    id: made.id,
    hash: made.hash,
    operator: 'admin',
    role: 'admin',
    created_at: now,
    expires_at: expires,
  })
  await tx('bootstrap_token').where({ id: row.id }).update({ api_token_id: made.id })
  const expiresAt = expires.toISOString()
  return {
    reply: { operator: 'admin', tokenId: made.id, token: made.token, expiresAt },
    entry: {
      actor: { kind: 'bootstrap', tokenId: row.id },
      issued: { apiToken: { id: made.id, expiresAt } },
      ...(row.api_token_id && { detail: { revokedTokenId: row.api_token_id } }),
    },
    changed: [
      { table: 'api_token', where: { id: made.id } },
      ...(row.api_token_id ? [{ table: 'api_token' as const, where: { id: row.api_token_id } }] : []),
    ],
  }
}

/** A new bootstrap token beside the first start's: it ends those that are still live. */
export async function replaceBootstrapToken(
  tx: Knex.Transaction,
  made: Pick<OpaqueToken, 'id' | 'hash'>,
  now: Date,
): Promise<{ entry: Change<undefined>['entry']; expiresAt: string }> {
  const ended: { id: string }[] = await tx('bootstrap_token')
    .whereNull('dead_at')
    .where('expires_at', '>', now)
    .update({ dead_at: now })
    .returning('id')
  const expires = new Date(now.getTime() + bootstrapSeconds * 1000)
  await tx('bootstrap_token').insert({ id: made.id, hash: made.hash, created_at: now, expires_at: expires })
  const expiresAt = expires.toISOString()
  return {
    entry: {
      resource: { kind: 'bootstrap-token', id: made.id },
      detail: { expiresAt, ended: ended.map(({ id }) => id) },
    },
    expiresAt,
  }
}

/** The first use of an API token: from here on the bootstrap token that made it is dead. */
export async function markFirstUse(tx: Knex.Transaction, tokenId: string, now: Date): Promise<Change<undefined>> {
  await tx('api_token').where({ id: tokenId }).update({ first_used_at: now })
  const dead = await tx('bootstrap_token')
    .where({ api_token_id: tokenId })
    .whereNull('dead_at')
    .update({ dead_at: now })
  return {
    reply: undefined,
    entry: {
      action: 'token.use',
      resource: { kind: 'api-token', id: tokenId },
      detail: { bootstrapTokenEnded: dead > 0 },
    },
    changed: [{ table: 'api_token', where: { id: tokenId } }],
  }
}
