/** What entries of the log gave out and somebody may still use: open leases, and versions of secrets that have not ended. */
import type { Knex } from './database.ts'

/** Those of the named leases that have not ended. */
export async function openAmong(knex: Knex, ids: readonly string[]): Promise<Set<string>> {
  if (ids.length === 0) return new Set()
  const rows: { id: string }[] = await knex('lease').whereIn('id', ids).whereNull('ended_at').select('id')
  return new Set(rows.map((row) => row.id))
}

type Version = { path: string; version: number }

export const versionKey = ({ path, version }: Version): string => `${path} ${version}`

/**
 * The keys of those versions that were neither destroyed nor retired, and have not expired. One that was deleted may be
 * brought back.
 */
export async function livingAmong(knex: Knex, versions: readonly Version[], now: Date): Promise<Set<string>> {
  if (versions.length === 0) return new Set()
  const { rows } = await knex.raw<{ rows: Version[] }>(
    `select w.path, w.version
       from json_to_recordset(?::json) as w (path text, version int)
       join secret s on s.path = w.path and s.deleted_at is null
       join secret_version v on v.secret_id = s.id and v.version = w.version
      where v.destroyed_at is null and v.retired_at is null and (v.expires_at is null or v.expires_at > ?)`,
    [JSON.stringify(versions.map(({ path, version }) => ({ path, version }))), now],
  )
  return new Set(rows.map(versionKey))
}
