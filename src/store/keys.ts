/** Key rows, as keys/ makes them. Wrapped keys only: nothing here can be used without the root key. */
import type { Knex } from './database.ts'
import type { KeyRow } from './rows.ts'
import { type KeyRecord, tables } from './snapshot-tables.ts'

/** Whoever changes keys holds it, so that of many replicas one makes the next key. "pkey" in ASCII. */
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
  tx('signing_key').insert({
    id: row.id,
    kind: row.kind,
    algorithm: row.algorithm,
    public_key: row.publicKey,
    wrapped: row.wrapped,
    wrapping_key_id: row.wrappingKeyId,
    issuer_key_id: row.issuerKeyId ?? null,
    created_at: row.createdAt,
    epoch: row.epoch ?? null,
    from_size: row.fromSize ?? null,
    to_size: row.toSize ?? null,
    changed,
    ...times(row),
  })

/** Every key there was, as the transaction sees them. */
export async function readKeys(tx: Knex): Promise<KeyRow[]> {
  const rows: KeyRecord[] = await tx('signing_key').orderBy('created_at').orderBy('id')
  return rows.flatMap((row) => tables.keys.read(row)[1] ?? [])
}

/** Writes what may change in a key's life: its chain and its times. */
export const updateKey = (tx: Knex.Transaction, row: KeyRow): Promise<unknown> =>
  tx('signing_key').where({ id: row.id }).update(times(row))

export const updateWrapped = (tx: Knex.Transaction, row: KeyRow): Promise<unknown> =>
  tx('signing_key').where({ id: row.id }).update({ wrapped: row.wrapped, wrapping_key_id: row.wrappingKeyId })

/** From which tree size on a log key signs, once the entry that announces it has its place. */
export const setFirstSize = (tx: Knex.Transaction, id: string, size: number): Promise<unknown> =>
  tx('signing_key').where({ id }).update({ from_size: size })

/** The last tree size that a log key signs. */
export const setLastSize = (tx: Knex.Transaction, id: string, size: number): Promise<unknown> =>
  tx('signing_key').where({ id }).update({ to_size: size })

export type WrappingKey = { id: string; wrapped: Buffer; rootKeyId: string; createdAt: Date }

export const insertWrappingKey = (tx: Knex.Transaction, row: WrappingKey): Promise<unknown> =>
  tx('keyring_key').insert({
    id: row.id,
    wrapped: row.wrapped,
    root_key_id: row.rootKeyId,
    created_at: row.createdAt,
  })

/** The same key under another root key. Answers how many rows it was in. */
export const rewrapWrappingKey = (tx: Knex.Transaction, row: WrappingKey): Promise<number> =>
  tx('keyring_key').where({ id: row.id }).update({ wrapped: row.wrapped, root_key_id: row.rootKeyId })

export async function readWrappingKeys(knex: Knex): Promise<WrappingKey[]> {
  const rows: { id: string; wrapped: Buffer; root_key_id: string; created_at: Date }[] = await knex('keyring_key')
  return rows.map((row) => ({
    id: row.id,
    wrapped: row.wrapped,
    rootKeyId: row.root_key_id,
    createdAt: row.created_at,
  }))
}
