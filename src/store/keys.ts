/** Rows of signing keys and wrapping keys. All private keys are wrapped: none can be used without the root key. */
import { type Columns, columnsOf, membersOf } from './columns.ts'
import type { Knex } from './database.ts'
import type { KeyRow } from './rows.ts'
import { type KeyRecord, tables } from './snapshot-tables.ts'

/** An advisory lock for changes of keys, so that one replica creates the next key: "pkey" in ASCII. */
export const keysLock = 0x706b6579

export const lockKeys = (tx: Knex.Transaction): Promise<unknown> =>
  tx.raw('select pg_advisory_xact_lock(?)', [keysLock])

const times = (row: KeyRow): Record<string, unknown> => ({
  chain: row.chain ?? null,
  active_at: row.activeAt,
  retire_at: row.retireAt,
  gone_at: row.goneAt,
  withdrawn_at: row.withdrawnAt ?? null,
})

export const insertKey = (tx: Knex.Transaction, row: KeyRow, changed = 0): Promise<unknown> =>
  tx('signing_key').insert({ ...columnsOf(row), changed })

/** All keys, ended ones included, as the transaction sees them. */
export async function readKeys(tx: Knex): Promise<KeyRow[]> {
  const rows: KeyRecord[] = await tx('signing_key').orderBy('created_at').orderBy('id')
  return rows.flatMap((row) => tables.keys.read(row)[1] ?? [])
}

/** Updates what may change during the life of a key: its chain and its times. */
export const updateKey = (tx: Knex.Transaction, row: KeyRow): Promise<unknown> =>
  tx('signing_key').where({ id: row.id }).update(times(row))

export const updateWrapped = (tx: Knex.Transaction, row: KeyRow): Promise<unknown> =>
  tx('signing_key').where({ id: row.id }).update({ wrapped: row.wrapped, wrapping_key_id: row.wrappingKeyId })

/** Sets the first tree size that a log key signs, once the entry that announces it has its index. */
export const setFirstSize = (tx: Knex.Transaction, id: string, size: number): Promise<unknown> =>
  tx('signing_key').where({ id }).update({ from_size: size })

/** Sets the last tree size that a log key signs. */
export const setLastSize = (tx: Knex.Transaction, id: string, size: number): Promise<unknown> =>
  tx('signing_key').where({ id }).update({ to_size: size })

export type WrappingKey = { id: string; wrapped: Buffer; rootKeyId: string; createdAt: Date }

export const insertWrappingKey = (tx: Knex.Transaction, row: WrappingKey): Promise<unknown> =>
  tx('keyring_key').insert(columnsOf(row))

/** Stores the key wrapped by another root key. Returns the number of updated rows. */
export const rewrapWrappingKey = (tx: Knex.Transaction, row: WrappingKey): Promise<number> =>
  tx('keyring_key').where({ id: row.id }).update({ wrapped: row.wrapped, root_key_id: row.rootKeyId })

export async function readWrappingKeys(knex: Knex): Promise<WrappingKey[]> {
  const rows: Columns<WrappingKey>[] = await knex('keyring_key')
  return rows.map(membersOf<WrappingKey>)
}
