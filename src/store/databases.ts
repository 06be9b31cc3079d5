/** Databases in which Purser creates roles, with the sealed administrative credential and the staged next one. */
import type { Knex } from './database.ts'
import type { DatabaseRow, SealedValue } from './rows.ts'

type Tx = Knex.Transaction

const sealedColumns = (sealed: SealedValue | undefined, prefix: '' | 'next_' = ''): Record<string, unknown> => ({
  [`${prefix}wrapping_key_id`]: sealed?.wrappingKeyId ?? null,
  [`${prefix}data_key`]: sealed?.dataKey ?? null,
  [`${prefix}ciphertext`]: sealed?.ciphertext ?? null,
})

export const insertDatabase = (tx: Tx, row: DatabaseRow): Promise<unknown> =>
  tx('database').insert({
    id: row.id,
    name: row.name,
    kind: row.kind,
    definition: JSON.stringify(row.definition),
    revision: row.revision,
    created_at: row.createdAt,
    ...sealedColumns(row.admin),
  })

/** Updates everything but name and kind. Replaces a staged credential of the earlier revision by `next`. */
export const updateDatabase = (tx: Tx, row: DatabaseRow, next?: SealedValue): Promise<unknown> =>
  tx('database')
    .where({ id: row.id })
    .update({
      definition: JSON.stringify(row.definition),
      revision: row.revision,
      ...sealedColumns(row.admin),
      ...sealedColumns(next, 'next_'),
    })

export const removeDatabase = (tx: Tx, id: string, now: Date): Promise<unknown> =>
  tx('database')
    .where({ id })
    .update({ deleted_at: now, ...sealedColumns(undefined), ...sealedColumns(undefined, 'next_') })

type Staged = {
  id: string
  revision: number
  next_wrapping_key_id: string | null
  next_data_key: Buffer | null
  next_ciphertext: Buffer | null
}

const toSealed = (row: Staged): SealedValue | undefined =>
  row.next_wrapping_key_id !== null && row.next_data_key !== null && row.next_ciphertext !== null
    ? { wrappingKeyId: row.next_wrapping_key_id, dataKey: row.next_data_key, ciphertext: row.next_ciphertext }
    : undefined

const stagedColumns = ['id', 'revision', 'next_wrapping_key_id', 'next_data_key', 'next_ciphertext'] as const

const liveDatabase = (knex: Knex, id: string) => knex('database').where({ id }).whereNull('deleted_at')

/** Locks the row. Returns its revision and the staged credential, or undefined for a removed database. */
export async function lockDatabase(
  tx: Tx,
  id: string,
): Promise<{ revision: number; staged: SealedValue | undefined } | undefined> {
  const row: Staged | undefined = await liveDatabase(tx, id)
    .forUpdate()
    .first(...stagedColumns)
  return row && { revision: row.revision, staged: toSealed(row) }
}

export const stageAdmin = (tx: Tx, id: string, next: SealedValue): Promise<unknown> =>
  tx('database').where({ id }).update(sealedColumns(next, 'next_'))

/** The staged credential and the revision at which it was staged. */
export async function stagedAdmin(
  knex: Knex,
  id: string,
): Promise<{ revision: number; next: SealedValue } | undefined> {
  const row: Staged | undefined = await liveDatabase(knex, id).first(...stagedColumns)
  const next = row && toSealed(row)
  return row && next && { revision: row.revision, next }
}

/** Databases with a staged credential: the replica that staged it may have stopped. */
export async function databasesWithStagedAdmin(knex: Knex): Promise<string[]> {
  const rows: { id: string }[] = await knex('database')
    .whereNotNull('next_data_key')
    .whereNull('deleted_at')
    .select('id')
  return rows.map((row) => row.id)
}
