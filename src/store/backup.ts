/** Reads the state of a database that was restored from a backup. Changes nothing. */
import { type Columns, membersOf } from './columns.ts'
import type { Knex } from './database.ts'

export type RestoredSecret = {
  id: string
  path: string
  version: number
  updatedAt: Date
  rotator?: string
  definition?: unknown
}

/** Live secrets after a path, ordered by path, with their rotators and the definitions of their policies. */
export async function restoredSecrets(knex: Knex, after: string, max: number): Promise<RestoredSecret[]> {
  const rows: Columns<RestoredSecret>[] = await knex('secret as s')
    .leftJoin('rotation_policy as p', 'p.secret_id', 's.id')
    .whereNull('s.deleted_at')
    .where('s.path', '>', after)
    .orderBy('s.path')
    .limit(max)
    .select('s.id', 's.path', 's.version', 's.updated_at', 's.rotator', 'p.definition')
  return rows.map(membersOf<RestoredSecret>)
}

/** The time of the newest entry of each epoch. */
export async function lastEntries(knex: Knex): Promise<{ epoch: number; at: Date }[]> {
  return knex('log_entry').groupBy('epoch').orderBy('epoch').select('epoch').max({ at: 'at' })
}

/** Counts the sessions and leases that still give access, and the rotations that run. */
export async function countOpen(
  knex: Knex,
  now: Date,
): Promise<{ sessions: number; leases: number; rotations: number }> {
  const count = async (query: Knex.QueryBuilder): Promise<number> => {
    const rows: { n: string }[] = await query.count({ n: '*' })
    return Number(rows[0]?.n ?? 0)
  }
  return {
    sessions: await count(knex('session').whereNull('ended_at').where('expires_at', '>', now)),
    leases: await count(knex('lease').whereNull('ended_at')),
    rotations: await count(knex('rotation').whereNull('ended_at')),
  }
}

export const databaseNames = async (knex: Knex): Promise<string[]> => {
  const rows: { name: string }[] = await knex('database').whereNull('deleted_at').orderBy('name').select('name')
  return rows.map((row) => row.name)
}
