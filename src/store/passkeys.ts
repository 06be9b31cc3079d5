/** Passkeys of operators: public keys of WebAuthn. Read by key at a login, never into the snapshot. */
import { type Columns, columnsOf, membersOf } from './columns.ts'
import type { Knex } from './database.ts'

type Tx = Knex.Transaction

export type PasskeyRow = {
  id: string
  operatorId: string
  credentialId: Buffer
  /** A COSE key. */
  publicKey: Buffer
  /** The signature counter of the last use; 0 for an authenticator without one. */
  counter: number
  label: string
  createdAt: Date
  lastUsedAt?: Date
}

/** PostgreSQL's bigints come as text. */
type Stored = Omit<Columns<PasskeyRow>, 'counter'> & { counter: string }

const rowOf = (row: Stored): PasskeyRow => membersOf<PasskeyRow>({ ...row, counter: Number(row.counter) })

const countAgain = (tx: Tx, operatorId: string): Promise<unknown> =>
  tx.raw(
    `update operator set passkeys = (select nullif(count(*), 0)::int from operator_passkey where operator_id = ?) where id = ?`,
    [operatorId, operatorId],
  )

export async function readPasskeys(knex: Knex, operatorId: string): Promise<PasskeyRow[]> {
  const rows: Stored[] = await knex('operator_passkey').where({ operator_id: operatorId }).orderBy('created_at')
  return rows.map(rowOf)
}

export async function findPasskey(knex: Knex, credentialId: Buffer): Promise<PasskeyRow | undefined> {
  const row: Stored | undefined = await knex('operator_passkey').where({ credential_id: credentialId }).first()
  return row && rowOf(row)
}

/** The number of passkeys, which stays until the transaction ends. */
export async function lockedCount(tx: Tx, operatorId: string): Promise<number> {
  await tx('operator').where({ id: operatorId }).forUpdate().first('id')
  const rows: unknown[] = await tx('operator_passkey').where({ operator_id: operatorId }).select('id')
  return rows.length
}

/** Returns whether the credential is new. */
export async function insertPasskey(tx: Tx, row: PasskeyRow): Promise<boolean> {
  const inserted: unknown[] = await tx('operator_passkey')
    .insert(columnsOf(row))
    .onConflict('credential_id')
    .ignore()
    .returning('id')
  await countAgain(tx, row.operatorId)
  return inserted.length > 0
}

/** Stores the counter of a use. Returns whether the passkey is still there, with the counter that was verified. */
export async function usePasskey(
  tx: Tx,
  { id, counter }: Pick<PasskeyRow, 'id' | 'counter'>,
  nextCounter: number,
  now: Date,
): Promise<boolean> {
  const unchanged = tx('operator_passkey').where({ id, counter })
  return (await unchanged.update({ counter: nextCounter, last_used_at: now })) === 1
}

/** Returns whether the operator had it. */
export async function removePasskey(tx: Tx, operatorId: string, id: string): Promise<boolean> {
  const removed = await tx('operator_passkey').where({ operator_id: operatorId, id }).delete()
  await countAgain(tx, operatorId)
  return removed > 0
}

/** Returns how many there were. */
export async function removePasskeys(tx: Tx, operatorId: string): Promise<number> {
  const removed = await tx('operator_passkey').where({ operator_id: operatorId }).delete()
  await tx('operator').where({ id: operatorId }).update({ passkeys: null })
  return removed
}
