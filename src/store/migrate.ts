/** Migrates the schema, one process at a time, and refuses a schema that is too new for this binary. */
import type { Knex } from 'knex'
import { type Migration, migrations as ours } from '../../migrations/index.ts'
import { type Database, isDeadlock } from './database.ts'

/** A newer Purser changed the schema in a way that this version cannot run on. */
export class SchemaTooNew extends Error {
  /** The message holds names of migrations only. */
  readonly safeToLog = true
  constructor(oldest: string) {
    super(`the database needs a Purser that knows migration ${oldest}; this version is too old: install a newer one`)
    this.name = 'SchemaTooNew'
  }
}

const table = 'schema_migration'
// An advisory lock of migrations: the first bytes of "purser" in ASCII.
const lockKey = 0x70757273
const maxTries = 5

async function refuseDown(): Promise<never> {
  throw new Error('this migration cannot be reverted; restore a backup')
}

type Applied = { names: string[]; oldestBinary: string | undefined }

async function readApplied(knex: Knex): Promise<Applied> {
  const { rows } = await knex.raw<{ rows: { exists: boolean }[] }>(`select to_regclass(?) is not null as exists`, [
    table,
  ])
  if (!rows[0]?.exists) return { names: [], oldestBinary: undefined }
  const names: string[] = await knex(table).orderBy('id').pluck('name')
  const info = await knex<{ oldest_binary: string }>('schema_info').first('oldest_binary')
  return { names, oldestBinary: info?.oldest_binary }
}

function refuseTooNew({ names, oldestBinary }: Applied, list: readonly Migration[]): void {
  const isListed = (name: string): boolean => list.some((migration) => migration.name === name)
  if (oldestBinary !== undefined && !names.every(isListed) && !isListed(oldestBinary)) {
    throw new SchemaTooNew(oldestBinary)
  }
}

/**
 * The names of the migrations that the database lacks. Changes nothing.
 * @throws SchemaTooNew
 */
export async function pendingMigrations(db: Pick<Database, 'knex'>, list = ours): Promise<string[]> {
  const applied = await readApplied(db.knex)
  refuseTooNew(applied, list)
  return list.map((migration) => migration.name).filter((name) => !applied.names.includes(name))
}

/** The names of migrations that a newer Purser applied and that this version can still run on. */
export async function newerMigrations(db: Pick<Database, 'knex'>, list = ours): Promise<string[]> {
  const { names } = await readApplied(db.knex)
  return names.filter((name) => !list.some((migration) => migration.name === name))
}

/** An append locks the head row before rows of other tables. A migration that locked those tables first would deadlock. */
async function lockAppends(tx: Knex.Transaction): Promise<void> {
  if (await tx.schema.hasTable('log_head')) await tx.raw('lock table log_head in access exclusive mode')
}

async function applyMissing(db: Pick<Database, 'knex'>, list: readonly Migration[]): Promise<string[]> {
  return db.knex.transaction(async (tx) => {
    await tx.raw(`set local lock_timeout = 0`)
    await tx.raw(`set local idle_in_transaction_session_timeout = 0`)
    await tx.raw(`select pg_advisory_xact_lock(?)`, [lockKey])
    // From here on locks wait for requests of running replicas, and the migration gives up before it delays those.
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
      // Migrations of a newer binary are checked by refuseTooNew.
      disableMigrationsListValidation: true,
      migrationSource: {
        getMigrations: async () => [...list],
        getMigrationName: (migration: Migration) => migration.name,
        getMigration: async (migration: Migration) => ({ up: migration.up, down: migration.down ?? refuseDown }),
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
 * Applies all missing migrations or none, and returns their names. Replicas that start together wait for the first. On
 * Postgres, open the database with a `statementSeconds` that the longest migration needs. A change locks the head row
 * after rows of other tables, so it can deadlock with a migration, which is then retried.
 * @throws SchemaTooNew
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
