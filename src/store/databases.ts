/** Databases in which Purser creates roles, with the sealed administrative credential and the staged next one. */
import { type Columns, columnsOf, membersOf, sealedIn } from './columns.ts'
import type { Knex } from './database.ts'
import type { DatabaseRow, SealedValue } from './rows.ts'

type Tx = Knex.Transaction

const sealedColumns = (sealed: SealedValue | undefined, prefix: '' | 'next_' = ''): Record<string, unknown> => ({
  [`${prefix}wrapping_key_id`]: sealed?.wrappingKeyId ?? null,
  [`${prefix}data_key`]: sealed?.dataKey ?? null,
  [`${prefix}ciphertext`]: sealed?.ciphertext ?? null,
})

export const insertDatabase = (tx: Tx, { admin, ...row }: DatabaseRow): Promise<unknown> =>
  tx('database').insert({ ...columnsOf(row), ...sealedColumns(admin) })

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

type Staged = { revision: number } & Partial<SealedValue>

/** The staged credential of a database that was not removed. */
const stagedIn = (knex: Knex, id: string) =>
  knex('database').where({ id }).whereNull('deleted_at').select({
    revision: 'revision',
    wrapping_key_id: 'next_wrapping_key_id',
    data_key: 'next_data_key',
    ciphertext: 'next_ciphertext',
  })

/** Locks the row. Returns its revision and the staged credential, or undefined for a removed database. */
export async function lockDatabase(
  tx: Tx,
  id: string,
): Promise<{ revision: number; staged: SealedValue | undefined } | undefined> {
  const row: Columns<Staged> | undefined = await stagedIn(tx, id).forUpdate().first()
  return row && { revision: row.revision, staged: sealedIn(membersOf(row)) }
}

export const stageAdmin = (tx: Tx, id: string, next: SealedValue): Promise<unknown> =>
  tx('database').where({ id }).update(sealedColumns(next, 'next_'))

/** The staged credential and the revision at which it was staged. */
export async function stagedAdmin(
  knex: Knex,
  id: string,
): Promise<{ revision: number; next: SealedValue } | undefined> {
  const row: Columns<Staged> | undefined = await stagedIn(knex, id).first()
  const next = row && sealedIn(membersOf(row))
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
