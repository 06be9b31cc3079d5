/** The secrets that watches follow: what changed after a change, and what there is. */
import type { Knex } from './database.ts'
import { atPaths, endOfPrefix } from './secrets.ts'

/** `live` is absent for a removed secret. `changed`: the number of its last change. */
export type SecretChange = { path: string; changed: number; live?: { version: number; revision: number } }

type Row = { path: string; changed: string; version: number; revision: number; deleted_at: Date | null }

const columns = ['path', 'changed', 'version', 'revision', 'deleted_at']

/** A path may have removed rows beside its live one: the last change of the path counts. */
function latest(rows: readonly Row[]): SecretChange[] {
  const byPath = new Map<string, SecretChange>()
  for (const { path, changed, version, revision, deleted_at } of rows)
    byPath.set(path, { path, changed: Number(changed), ...(deleted_at === null && { live: { version, revision } }) })
  return [...byPath.values()]
}

/**
 * The number of the last change, and the secrets that changed after `since`; none of them without `since`. Changes commit
 * in the order of their numbers: with the last one every earlier one is visible.
 */
export async function readSecretChanges(
  knex: Knex,
  since: number | undefined,
): Promise<{ changes: number; rows: SecretChange[] }> {
  const head: { revision: string } | undefined = await knex('log_head').first('revision')
  const changes = Number(head?.revision ?? 0)
  if (since === undefined || changes <= since) return { changes, rows: [] }
  const rows: Row[] = await knex('secret')
    .where('changed', '>', since)
    .where('changed', '<=', changes)
    .orderBy('changed')
    .select(columns)
  return { changes, rows: latest(rows) }
}

/** What a watch covers. */
export type WatchedSecrets = { paths: readonly string[]; prefix?: string }

function watched(knex: Knex, { paths, prefix }: WatchedSecrets): Knex.QueryBuilder {
  return knex('secret')
    .where((query) => {
      void atPaths(query, paths)
      if (prefix !== undefined) void query.orWhereRaw('path ~>=~ ? and path ~<~ ?', [prefix, endOfPrefix(prefix)])
    })
    .select(columns)
}

/** The watched secrets that changed after a change, removed ones included. */
export async function changedSecrets(knex: Knex, since: number, watch: WatchedSecrets): Promise<SecretChange[]> {
  const rows: Row[] = await watched(knex, watch).where('changed', '>', since).orderBy('changed')
  return latest(rows)
}

/** The watched secrets that exist. */
export async function liveSecrets(knex: Knex, watch: WatchedSecrets): Promise<SecretChange[]> {
  const rows: Row[] = await watched(knex, watch).whereNull('deleted_at')
  return latest(rows)
}
