/** Second factors of operators: the sealed secret of an authenticator app, and hashes of recovery codes. */
import { type Columns, columnsOf, membersOf } from './columns.ts'
import type { Knex } from './database.ts'
import type { SealedValue } from './rows.ts'

type Tx = Knex.Transaction

export type TotpRow = SealedValue & {
  operatorId: string
  /** New for each enrolment. */
  id: string
  createdAt: Date
  /** Absent until the operator has shown a code of it. */
  confirmedAt?: Date
}

/** Replaces an enrolment that was not confirmed. */
export const writeTotp = (tx: Tx, row: TotpRow): Promise<unknown> =>
  tx('operator_totp')
    .insert({ ...columnsOf(row), confirmed_at: null, last_step: -1 })
    .onConflict('operator_id')
    .merge()

export async function readTotp(knex: Knex, operatorId: string): Promise<TotpRow | undefined> {
  const row: (Columns<TotpRow> & { last_step: string }) | undefined = await knex('operator_totp')
    .where({ operator_id: operatorId })
    .first()
  return row && membersOf<TotpRow>(row)
}

/** Uses up a step and all before it. Returns whether the code of the step was unused. */
export async function spendStep(tx: Tx, id: string, step: number): Promise<boolean> {
  return (await tx('operator_totp').where({ id }).where('last_step', '<', step).update({ last_step: step })) === 1
}

export async function confirmTotp(tx: Tx, operatorId: string, codes: readonly Buffer[], now: Date): Promise<void> {
  await tx('operator_totp').where({ operator_id: operatorId }).update({ confirmed_at: now })
  await tx('operator_recovery_code').where({ operator_id: operatorId }).delete()
  await tx('operator_recovery_code').insert(codes.map((hash) => ({ operator_id: operatorId, hash })))
  await tx('operator').where({ id: operatorId }).update({ second_factor_at: now })
}

/** Uses up a recovery code. Returns whether there was such a code, unused. */
export async function spendRecoveryCode(tx: Tx, operatorId: string, hash: Buffer, now: Date): Promise<boolean> {
  const unused = tx('operator_recovery_code').where({ operator_id: operatorId, hash }).whereNull('used_at')
  return (await unused.update({ used_at: now })) === 1
}

export async function hasRecoveryCode(knex: Knex, operatorId: string, hash: Buffer): Promise<boolean> {
  const row: unknown = await knex('operator_recovery_code')
    .where({ operator_id: operatorId, hash })
    .whereNull('used_at')
    .first('hash')
  return row !== undefined
}

export async function removeSecondFactor(tx: Tx, operatorId: string): Promise<void> {
  await tx('operator_totp').where({ operator_id: operatorId }).delete()
  await tx('operator_recovery_code').where({ operator_id: operatorId }).delete()
  await tx('operator').where({ id: operatorId }).update({ second_factor_at: null })
}
