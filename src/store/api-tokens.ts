/** Operators' API tokens. */
import type { Knex } from 'knex'

export const revokeApiToken = (tx: Knex.Transaction, id: string, now: Date): Promise<unknown> =>
  tx('api_token').where({ id }).whereNull('revoked_at').update({ revoked_at: now })
