/**
 * The way in before there are operators: one bootstrap token, valid for an hour, is exchanged for an admin API token.
 * Replies get lost, so the exchange can be repeated until that token is first used; each exchange revokes the token of the
 * one before.
 */
import type { EntryPart } from '../../audit/entry.ts'
import type { Change, Changed } from '../../audit/record.ts'
import { refuse } from '../../errors.ts'
import { type OpaqueToken, newToken } from '../../names/token.ts'
import type { Knex } from '../../store/database.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import {
  endLiveBootstrapTokens,
  insertApiToken,
  insertBootstrapToken,
  lockBootstrapToken,
  revokeApiToken,
  setApiToken,
} from '../../store/tokens.ts'
import type { Context } from '../context.ts'
import { newOperator } from '../operators/create.ts'
import { updated } from '../operators/state.ts'

export const bootstrapSeconds = 3600
const apiTokenSeconds = 30 * 24 * 3600

type AdminToken = { operator: 'admin'; tokenId: string; token: string; expiresAt: string }

export const exchangeBootstrap =
  ({ randomBytes }: { randomBytes: (size: number) => Buffer }) =>
  /** @throws Refusal `unauthenticated`, the same for unknown, expired and dead tokens */
  async (
    { caller, time }: Pick<Context, 'caller' | 'time'>,
    tx: Knex.Transaction,
    snapshot: Snapshot,
  ): Promise<Change<AdminToken>> => {
    const bootstrap = caller.kind === 'bootstrap' ? await lockBootstrapToken(tx, caller.hash, time) : undefined
    if (!bootstrap) throw refuse('unauthenticated')
    const actor = { kind: 'bootstrap', tokenId: bootstrap.id } as const
    const admin = await restoreAdmin({ randomBytes }, tx, snapshot, time)
    const earlier = bootstrap.apiTokenId
    if (earlier !== undefined) await revokeApiToken(tx, earlier, time)
    const { id, token, hash } = newToken('api', randomBytes)
    const expires = new Date(time.getTime() + apiTokenSeconds * 1000)
    await insertApiToken(tx, { id, hash, operator: 'admin', role: 'admin', createdAt: time, expiresAt: expires })
    await setApiToken(tx, bootstrap.id, id)
    const expiresAt = expires.toISOString()
    return {
      result: { operator: 'admin', tokenId: id, token, expiresAt },
      entry: {
        actor,
        issued: { apiToken: { id, expiresAt } },
        ...(earlier !== undefined && { detail: { revokedTokenId: earlier } }),
      },
      ...(admin && { more: [{ ...admin.entry, actor }] }),
      changed: [
        ...(admin?.changed ?? []),
        ...[id, ...(earlier === undefined ? [] : [earlier])].map((id): Changed => ({
          table: 'api_token',
          where: { id },
        })),
      ],
    }
  }

/** The operator `admin`, to whom the token belongs, exists and may use it. @returns what had to change for that */
async function restoreAdmin(
  parts: { randomBytes: (size: number) => Buffer },
  tx: Knex.Transaction,
  snapshot: Snapshot,
  now: Date,
): Promise<{ entry: EntryPart; changed?: Changed[] } | undefined> {
  const old = snapshot.operators.get('admin')
  if (!old) return newOperator(parts, tx, { name: 'admin', role: 'admin' }, now)
  if (old.role === 'admin' && !old.disabled && !old.bound) return undefined
  const { entry, ...change } = await updated(
    tx,
    snapshot,
    old,
    { role: 'admin', bound: undefined, disabled: false },
    now,
  )
  return { ...change, entry: { action: 'operator.replace', ...entry } }
}

/** A new bootstrap token, beside the one of the first start: it ends those that are still live. */
export async function replaceBootstrapToken(
  tx: Knex.Transaction,
  { id, hash }: Pick<OpaqueToken, 'id' | 'hash'>,
  now: Date,
): Promise<{ entry: Change<undefined>['entry']; expiresAt: string }> {
  const ended = await endLiveBootstrapTokens(tx, now)
  const expires = new Date(now.getTime() + bootstrapSeconds * 1000)
  await insertBootstrapToken(tx, { id, hash, createdAt: now, expiresAt: expires })
  const expiresAt = expires.toISOString()
  return { entry: { resource: { kind: 'bootstrap-token', id }, detail: { expiresAt, ended } }, expiresAt }
}
