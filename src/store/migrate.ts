/** The schema: brought up to date by one process at a time, and refused by a binary too old for it. */
import type { Knex } from 'knex'
import { type Migration, migrations as ours } from '../../migrations/index.ts'
import { type Database, isDeadlock } from './database.ts'

/** The schema was changed by a newer Purser in a way that this one must not run on. */
export class SchemaTooNew extends Error {
  /** Our own words: a log may show them. */
  readonly safeToLog = true
  constructor(oldest: string) {
    super(`the database needs a Purser that knows migration ${oldest}; this one is too old`)
    this.name = 'SchemaTooNew'
  }
}

const table = 'schema_migration'
// Any number that nobody else uses: "purser" in ASCII, cut to 31 bits.
const lockKey = 0x70757273
const maxTries = 5

async function noWayBack(): Promise<never> {
  throw new Error('this migration has no way back; restore a backup')
}

type Applied = { names: string[]; oldestBinary: string | undefined }

async function readApplied(knex: Knex): Promise<Applied> {
  const found = await knex.raw<{ rows: { made: boolean }[] }>(`select to_regclass(?) is not null as made`, [table])
  if (!found.rows[0]?.made) return { names: [], oldestBinary: undefined }
  const names: string[] = await knex(table).orderBy('id').pluck('name')
  const info = await knex<{ oldest_binary: string }>('schema_info').first('oldest_binary')
  return { names, oldestBinary: info?.oldest_binary }
}

function refuseTooNew({ names, oldestBinary }: Applied, known: readonly Migration[]): void {
  const knows = (name: string): boolean => known.some((migration) => migration.name === name)
  if (oldestBinary !== undefined && !names.every(knows) && !knows(oldestBinary)) throw new SchemaTooNew(oldestBinary)
}

/** Names of the migrations that the database lacks; none: it can be served. Throws SchemaTooNew. Changes nothing. */
export async function pendingMigrations(db: Pick<Database, 'knex'>, list = ours): Promise<string[]> {
  const applied = await readApplied(db.knex)
  refuseTooNew(applied, list)
  return list.map((migration) => migration.name).filter((name) => !applied.names.includes(name))
}

/** What a newer Purser changed, that this one knows nothing of and may still run on. */
export async function newerMigrations(db: Pick<Database, 'knex'>, list = ours): Promise<string[]> {
  const { names } = await readApplied(db.knex)
  return names.filter((name) => !list.some((migration) => migration.name === name))
}

/**
 * An append takes the head row before the rows of its other tables. A migration that took those tables first would
 * deadlock with it.
 */
async function lockAppends(tx: Knex.Transaction): Promise<void> {
  if (await tx.schema.hasTable('log_head')) await tx.raw('lock table log_head in access exclusive mode')
}

async function applyMissing(db: Pick<Database, 'knex'>, list: readonly Migration[]): Promise<string[]> {
  return db.knex.transaction(async (tx) => {
    await tx.raw(`set local lock_timeout = 0`)
    await tx.raw(`set local idle_in_transaction_session_timeout = 0`)
    await tx.raw(`select pg_advisory_xact_lock(?)`, [lockKey])
    // From here on it waits for the traffic of replicas that are serving, and gives up before it holds that up.
    await tx.raw(`set local lock_timeout = '5s'`)
    const applied = await readApplied(tx)
    refuseTooNew(applied, list)
    if (list.some(({ name }) => !applied.names.includes(name))) await lockAppends(tx)
    await tx.raw(
      `create table if not exists schema_info (
         id smallint primary key default 1 check (id = 1), oldest_binary text not null, changed_at timestamptz not null)`,
    )
    const [, names]: [number, string[]] = await tx.migrate.latest({
      tableName: table,
      // What a newer binary applied is not ours to judge here.
      disableMigrationsListValidation: true,
      migrationSource: {
        getMigrations: async () => [...list],
        getMigrationName: (migration: Migration) => migration.name,
        getMigration: async (migration: Migration) => ({ up: migration.up, down: migration.down ?? noWayBack }),
      },
    })
    const breaking = list.findLast(
      (migration) => names.includes(migration.name) && (migration.breaking || migration === list[0]),
    )
    if (breaking) {
      await tx('schema_info').insert({ oldest_binary: breaking.name, changed_at: tx.fn.now() }).onConflict('id').merge()
    }
    return names
  })
}

/**
 * Applies what is missing, all of it or nothing, and answers the names. Replicas that start together wait for the
 * first. On Postgres, open with a `statementSeconds` that the longest migration needs. Throws SchemaTooNew.
 * A change takes the head row after the rows of its other tables, so it can deadlock with a migration: what Postgres ends
 * of the two goes again.
 */
export async function migrate(db: Pick<Database, 'knex'>, list = ours): Promise<string[]> {
  for (let tries = 1; ; tries++) {
    try {
      return await applyMissing(db, list)
    } catch (error) {
      if (!isDeadlock(error) || tries === maxTries) throw error
    }
  }
}
