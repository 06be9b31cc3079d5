/** Databases made from one migrated template: a clone takes 30 ms, a migration ten times that. */
import { randomBytes } from 'node:crypto'
import { Pool } from 'pg'
import { migrate } from '../../src/store/migrate.ts'
import { openPostgres } from '../../src/store/postgres.ts'

/** One connection for each URL. It stays open, because opening one takes Postgres longer than a statement. */
const administrators = new Map<string, Pool>()

/** Runs one statement as the URL's user. */
async function administer<Row extends object>(url: string, sql: string, values: unknown[] = []): Promise<Row[]> {
  let pool = administrators.get(url)
  if (!pool) {
    // An idle connection does not keep the process alive.
    pool = new Pool({ connectionString: url, connectionTimeoutMillis: 5_000, max: 2, allowExitOnIdle: true })
    pool.on('error', () => undefined)
    administrators.set(url, pool)
  }
  const { rows } = await pool.query<Row>(sql, values)
  return rows
}

const strategies = new Map<string, Promise<string>>()

/**
 * Copying files takes Postgres a third of the time of copying pages through its log. PostgreSQL 14 always copies
 * files.
 */
async function findStrategy(url: string): Promise<string> {
  const text = `select current_setting('server_version_num')::int as number`
  const [version] = await administer<{ number: number }>(url, text)
  return version && version.number >= 150_000 ? 'strategy file_copy' : ''
}

function strategyOf(url: string): Promise<string> {
  let strategy = strategies.get(url)
  if (!strategy) strategies.set(url, (strategy = findStrategy(url)))
  return strategy
}

function databaseUrl(url: string, name: string): string {
  const other = new URL(url)
  other.pathname = `/${name}`
  return other.href
}

/** Drops it together with its connections, if it exists. */
async function dropDatabase(url: string, name: string): Promise<void> {
  await administer(url, `drop database if exists ${name} with (force)`)
}

const clonesOf = (template: string): string => `${template.replace('template', 'test')}_`

/**
 * Creates and migrates a database without connections, since one would stop every clone. `drop` also drops forgotten
 * clones.
 */
export async function makeTemplate(url: string): Promise<{ name: string; version: string; drop: () => Promise<void> }> {
  const name = `purser_template_${randomBytes(6).toString('hex')}`
  await administer(url, `create database ${name}`)
  const db = openPostgres({ url: databaseUrl(url, name), poolMax: 1 })
  try {
    await migrate(db)
  } finally {
    await db.close()
  }
  await administer(url, `alter database ${name} allow_connections false`)
  const [row] = await administer<{ version: string }>(url, `select current_setting('server_version') as version`)
  async function drop(): Promise<void> {
    const databases = await administer<{ datname: string }>(
      url,
      `select datname from pg_database where starts_with(datname, $1)`,
      [clonesOf(name)],
    )
    for (const { datname } of databases) await dropDatabase(url, datname)
    await dropDatabase(url, name)
  }
  return { name, version: row?.version ?? '', drop }
}

/** A clone of the template with its own name. */
export async function cloneDatabase(
  url: string,
  template: string,
): Promise<{ url: string; drop: () => Promise<void> }> {
  const name = `${clonesOf(template)}${randomBytes(6).toString('hex')}`
  await administer(url, `create database ${name} template ${template} ${await strategyOf(url)}`)
  return { url: databaseUrl(url, name), drop: () => dropDatabase(url, name) }
}
