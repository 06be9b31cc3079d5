/** `purser migrate`: updates the schema of the database. */
import { join } from 'node:path'
import type { Command } from 'commander'
import { type StoreConfig, readStoreConfig } from '../config.ts'
import type { Database } from '../store/database.ts'
import type { Io } from './io.ts'
import { withExamples, withOutput } from './options.ts'
import { type OutputFlags, show } from './output.ts'
import { refuseUnreachable } from './unreachable.ts'

type Flags = OutputFlags & { dryRun?: boolean }

export function addMigrate(program: Command, io: Io): void {
  const command = program
    .command('migrate')
    .summary("update the database's schema")
    .description(
      'Applies missing migrations in one transaction. Connects with PURSER_MIGRATE_DATABASE_URL (the role that owns the schema), else DATABASE_URL, else opens the embedded store in the data directory.',
    )
    .option('--dry-run', 'show missing migrations, and change nothing')
    .action(async (flags: Flags) => {
      const config = readStoreConfig({ env: io.env, readFile: io.readFile })
      const migrations = await run(config, flags.dryRun === true)
      const did = flags.dryRun ? 'missing' : 'applied'
      show(io, flags, { [did]: migrations }, () =>
        migrations.length === 0 ? 'the schema is up to date\n' : migrations.map((name) => `${did} ${name}\n`).join(''),
      )
    })
  withExamples(
    withOutput(command),
    'DATABASE_URL=postgres://purser@db/purser purser migrate --dry-run',
    'PURSER_MIGRATE_DATABASE_URL=postgres://owner@db/purser DATABASE_URL=postgres://purser@db/purser purser migrate',
  )
}

/** Migrations may take longer than requests. */
const statementSeconds = 3600

async function run(config: StoreConfig, dryRun: boolean): Promise<string[]> {
  const { migrate, pendingMigrations } = await import('../store/migrate.ts')
  const db = await open(config)
  try {
    return dryRun ? await pendingMigrations(db) : await migrate(db)
  } catch (error) {
    return await refuseUnreachable(error)
  } finally {
    await db.close()
  }
}

async function open({ database, dataDir }: StoreConfig): Promise<Database> {
  if (database.kind === 'embedded') {
    const { openEmbedded } = await import('../store/embedded.ts')
    return openEmbedded({ dataDir: join(dataDir, 'db') })
  }
  const { openPostgres } = await import('../store/postgres.ts')
  return openPostgres({
    url: database.migrateUrl.reveal(),
    applicationName: 'purser migrate',
    poolMax: 1,
    statementSeconds,
  })
}
