/** Operators' API tokens. */
import { columnsOf } from './columns.ts'
import type { Knex } from './database.ts'
import type { Role } from './rows.ts'

export type NewApiToken = {
  id: string
  hash: Buffer
  operator: string
  role: Role
  createdAt: Date
  expiresAt: Date
}

export const insertApiToken = (tx: Knex.Transaction, token: NewApiToken): Promise<unknown> =>
  tx('api_token').insert(columnsOf(token))

export const setFirstUsed = (tx: Knex.Transaction, id: string, now: Date): Promise<unknown> =>
  tx('api_token').where({ id }).update({ first_used_at: now })

export const revokeApiToken = (tx: Knex.Transaction, id: string, now: Date): Promise<unknown> =>
  tx('api_token').where({ id }).whereNull('revoked_at').update({ revoked_at: now })
