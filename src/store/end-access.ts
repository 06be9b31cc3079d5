/** Ends everything that still gives access. A new epoch of the log starts with it. */
import type { Knex } from './database.ts'

export type EndedAccess = { sessions: number; accessTokens: number; joinTokens: number; apiTokens: string[] }

export async function endAllAccess(tx: Knex.Transaction, reason: string, now: Date): Promise<EndedAccess> {
  const sessions = await tx('session')
    .whereNull('ended_at')
    .where('expires_at', '>', now)
    .update({ ended_at: now, end_reason: reason })
  const accessTokens = await tx('access_token')
    .whereNull('revoked_at')
    .where('expires_at', '>', now)
    .update({ revoked_at: now })
  const joinTokens = await tx('join_token').where('uses_left', '>', 0).update({ uses_left: 0 })
  const apiTokens: { id: string }[] = await tx('api_token')
    .whereNull('revoked_at')
    .update({ revoked_at: now })
    .returning('id')
  // A restored database may have passwords that were replaced since.
  await tx('operator_password').delete()
  await tx('operator_totp').delete()
  await tx('operator_recovery_code').delete()
  await tx('operator_passkey').delete()
  // It may have approvals that were used since.
  await tx('approval').whereNull('ended_at').update({ ended_at: now })
  await tx('operator').whereNotNull('password_at').update({ password_at: null, second_factor_at: null, passkeys: null })
  return { sessions, accessTokens, joinTokens, apiTokens: apiTokens.map(({ id }) => id) }
}
