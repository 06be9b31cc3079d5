/** Databases made from one migrated template: a clone takes 30 ms, a migration ten times that. */
import { randomBytes } from 'node:crypto'
import { Client } from 'pg'
import { migrate } from '../../src/store/migrate.ts'
import { openPostgres } from '../../src/store/postgres.ts'

/** Runs one statement on its own connection, as the URL's user. */
async function administer<Row extends object>(url: string, sql: string, values: unknown[] = []): Promise<Row[]> {
  const client = new Client({ connectionString: url, connectionTimeoutMillis: 5_000 })
  client.on('error', () => undefined)
  await client.connect()
  try {
    const { rows } = await client.query<Row>(sql, values)
    return rows
  } finally {
    await client.end()
  }
}

function databaseUrl(url: string, name: string): string {
  const other = new URL(url)
  other.pathname = `/${name}`
  return other.href
}

/** Drops it under its users, if it is there. */
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
    const left = await administer<{ datname: string }>(
      url,
      `select datname from pg_database where starts_with(datname, $1)`,
      [clonesOf(name)],
    )
    for (const { datname } of left) await dropDatabase(url, datname)
    await dropDatabase(url, name)
  }
  return { name, version: row?.version ?? '', drop }
}

/** A clone of the template under a name of its own. */
export async function cloneDatabase(
  url: string,
  template: string,
): Promise<{ url: string; drop: () => Promise<void> }> {
  const name = `${clonesOf(template)}${randomBytes(6).toString('hex')}`
  await administer(url, `create database ${name} template ${template}`)
  return { url: databaseUrl(url, name), drop: () => dropDatabase(url, name) }
}
