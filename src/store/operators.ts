/** Operators, and what follows for their API tokens. */
import { columnsOf } from './columns.ts'
import type { Knex } from './database.ts'
import type { OperatorRow, Role } from './rows.ts'
import { type OperatorRecord, tables } from './snapshot-tables.ts'

type Tx = Knex.Transaction

export const insertOperator = (tx: Tx, row: OperatorRow): Promise<unknown> => tx('operator').insert(columnsOf(row))

/** Every operator, without a snapshot. */
export async function readOperators(knex: Knex): Promise<OperatorRow[]> {
  const rows: OperatorRecord[] = await knex('operator').orderBy('name')
  return rows.flatMap((row) => tables.operators.read(row)[1] ?? [])
}

/** Updates everything but the name. */
export const updateOperator = (
  tx: Tx,
  { id, role, bound, managedBy, disabled, revision, updatedAt }: OperatorRow,
): Promise<unknown> =>
  tx('operator')
    .where({ id })
    .update(columnsOf({ role, bound: bound ?? null, managedBy: managedBy ?? null, disabled, revision, updatedAt }))

/** Marks the row as deleted, so that replicas see the deletion, and revokes the tokens. The name is free again. */
export async function removeOperator(tx: Tx, { id, name }: OperatorRow, now: Date): Promise<string[]> {
  await tx('operator').where({ id }).update({ deleted_at: now })
  const revoked: { id: string }[] = await tx('api_token')
    .where({ operator: name })
    .whereNull('revoked_at')
    .where('expires_at', '>', now)
    .update({ revoked_at: now })
    .returning('id')
  return revoked.map((row) => row.id)
}

/**
 * Sets the column by which servers of the previous version judge an operator's tokens: the role of the token where it is
 * one of `roles` and the token has all routes and no bound, else `none`.
 * @param roles what the operator's role covers now; empty where it is disabled or bounded
 */
export const setRolesOfTokens = (tx: Tx, operator: string, roles: readonly Role[]): Promise<unknown> =>
  tx.raw(
    `update api_token set own_role = coalesce(own_role, role),
            role = case when routes is null and bound is null and coalesce(own_role, role) = any(?::text[]) then coalesce(own_role, role) else 'none' end
      where operator = ? and revoked_at is null`,
    [[...roles], operator],
  )
