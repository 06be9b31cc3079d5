/** Passwords of operators as hashes, and the addresses of past logins. Read by key at a login, never into the snapshot. */
import type { Knex } from './database.ts'
import { removePasskeys } from './passkeys.ts'
import { removeSecondFactor } from './second-factors.ts'

type Tx = Knex.Transaction

/** What a login needs to know of the operator with a name. */
export type LoginAccount = {
  id: string
  disabled: boolean
  hash?: string
  hasSecondFactor: boolean
  isKnownAddress: boolean
}

/** @param prefix of the caller's address */
export async function readLoginAccount(knex: Knex, name: string, prefix: string): Promise<LoginAccount | undefined> {
  type Row = { id: string; disabled: boolean; second: boolean; hash: string | null; known: boolean }
  const { rows } = await knex.raw<{ rows: Row[] }>(
    `select o.id, o.disabled, o.second_factor_at is not null as second, p.hash, a.prefix is not null as known
       from operator o
       left join operator_password p on p.operator_id = o.id
       left join operator_address a on a.operator_id = o.id and a.prefix = ?
      where o.name = ? and o.deleted_at is null`,
    [prefix, name],
  )
  const row = rows[0]
  if (!row) return undefined
  const { id, disabled, second, hash, known } = row
  return { id, disabled, hasSecondFactor: second, isKnownAddress: known, ...(hash !== null && { hash }) }
}

export async function readPasswordHash(knex: Knex, operatorId: string): Promise<string | undefined> {
  const row: { hash: string } | undefined = await knex('operator_password')
    .where({ operator_id: operatorId })
    .first('hash')
  return row?.hash
}

export async function setPassword(tx: Tx, operatorId: string, hash: string, now: Date): Promise<void> {
  await tx('operator_password')
    .insert({ operator_id: operatorId, hash, changed_at: now })
    .onConflict('operator_id')
    .merge()
  await tx('operator').where({ id: operatorId }).update({ password_at: now })
}

/** The same password under other parameters. */
export const replaceHash = (tx: Tx, operatorId: string, hash: string): Promise<unknown> =>
  tx('operator_password').where({ operator_id: operatorId }).update({ hash })

/** The addresses of one operator that are kept. */
const maxAddresses = 20

export async function rememberAddress(tx: Tx, operatorId: string, prefix: string, now: Date): Promise<void> {
  await tx('operator_address')
    .insert({ operator_id: operatorId, prefix, last_at: now })
    .onConflict(['operator_id', 'prefix'])
    .merge()
  await tx.raw(
    `delete from operator_address where operator_id = ? and prefix in
       (select prefix from operator_address where operator_id = ? order by last_at desc, prefix offset ?)`,
    [operatorId, operatorId, maxAddresses],
  )
}

/** Passkeys are removed too: each is a login. The operator keeps its second factor, for a later password. */
export async function clearPassword(tx: Tx, operatorId: string): Promise<void> {
  await removePasskeys(tx, operatorId)
  await tx('operator_password').where({ operator_id: operatorId }).delete()
  await tx('operator').where({ id: operatorId }).update({ password_at: null })
}

export async function removePassword(tx: Tx, operatorId: string): Promise<void> {
  await removeSecondFactor(tx, operatorId)
  await removePasskeys(tx, operatorId)
  await tx('operator_password').where({ operator_id: operatorId }).delete()
  await tx('operator_address').where({ operator_id: operatorId }).delete()
}
