/** Key rows, as keys/ makes them. Wrapped keys only: nothing here can be used without the root key. */
import type { Knex } from 'knex'
import type { KeyRow } from './rows.ts'

export const insertKey = (tx: Knex.Transaction, row: KeyRow, changed = 0): Promise<unknown> =>
  tx('signing_key').insert({
    id: row.id,
    kind: row.kind,
    algorithm: row.algorithm,
    public_key: row.publicKey,
    wrapped: row.wrapped,
    wrapping_key_id: row.wrappingKeyId,
    issuer_key_id: row.issuerKeyId ?? null,
    chain: row.chain ?? null,
    created_at: row.createdAt,
    active_at: row.activeAt,
    retire_at: row.retireAt,
    gone_at: row.goneAt,
    epoch: row.epoch ?? null,
    from_size: row.fromSize ?? null,
    changed,
  })

export type WrappingKey = { id: string; wrapped: Buffer; rootKeyId: string; createdAt: Date }

export const insertWrappingKey = (tx: Knex.Transaction, row: WrappingKey): Promise<unknown> =>
  tx('keyring_key').insert({
    id: row.id,
    wrapped: row.wrapped,
    root_key_id: row.rootKeyId,
    created_at: row.createdAt,
  })

export async function readWrappingKeys(knex: Knex): Promise<WrappingKey[]> {
  const rows: { id: string; wrapped: Buffer; root_key_id: string; created_at: Date }[] = await knex('keyring_key')
  return rows.map((row) => ({
    id: row.id,
    wrapped: row.wrapped,
    rootKeyId: row.root_key_id,
    createdAt: row.created_at,
  }))
}
