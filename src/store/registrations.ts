/**
 * Attestors and workload entries as operators write them. The append stamps `changed` under the head lock, and snapshots
 * read only stamped rows: a row that is based on an older snapshot is never used.
 */
import type { Knex } from 'knex'
import { columnsOf } from './columns.ts'
import type { AttestorRow, WorkloadRow } from './rows.ts'
import { type AttestorRecord, type WorkloadRecord, tables } from './snapshot-tables.ts'

type Tx = Knex.Transaction

export const insertAttestor = (tx: Tx, row: AttestorRow): Promise<unknown> => tx('attestor').insert(columnsOf(row))

/** Updates everything but name and kind. */
export const updateAttestor = (tx: Tx, { id, name: _, kind: __, ...row }: AttestorRow): Promise<unknown> =>
  tx('attestor')
    .where({ id })
    .update(columnsOf({ issuer: null, audience: null, ...row }))

export const insertWorkload = (tx: Tx, row: WorkloadRow): Promise<unknown> => tx('workload').insert(columnsOf(row))

/** Updates everything but name and attestor. */
export const updateWorkload = (tx: Tx, { id, definition, disabled, revision, bound }: WorkloadRow): Promise<unknown> =>
  tx('workload')
    .where({ id })
    .update(columnsOf({ definition, disabled, revision, bound: bound ?? null }))

/** Marks the row as deleted. It stays, so that replicas see the deletion and its id stays unique. Its name is free again. */
export const removeRegistration = (tx: Tx, table: 'attestor' | 'workload', id: string, now: Date): Promise<unknown> =>
  tx(table).where({ id }).update({ deleted_at: now })

/** Few rows by their ids, or many with an index of their names. */
export type NamedRows<T> = ReadonlyMap<string, T> | { byName: (name: string) => T | undefined }

/** The registration with this name. */
export function byName<T extends { name: string }>(rows: NamedRows<T>, name: string): T | undefined {
  if ('byName' in rows) return rows.byName(name)
  for (const row of rows.values()) if (row.name === name) return row
  return undefined
}

/** Every attestor, without a snapshot. */
export async function readAttestors(knex: Knex): Promise<AttestorRow[]> {
  const rows: AttestorRecord[] = await knex('attestor').orderBy('name')
  return rows.flatMap((row) => tables.attestors.read(row)[1] ?? [])
}

/** Every workload entry, without a snapshot. */
export async function readWorkloads(knex: Knex): Promise<WorkloadRow[]> {
  const rows: WorkloadRecord[] = await knex('workload').orderBy('name')
  return rows.flatMap((row) => tables.workloads.read(row)[1] ?? [])
}
