/** A foreign database, in which Purser creates roles: a Postgres that requires passwords and logs every statement. */
import { chmod, chown, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client } from 'pg'
import { findBinaries } from '../../src/cli/demo/postgres/binaries.ts'
import { startTestServer } from './test-server.ts'

export type TargetServer = {
  host: string
  port: number
  database: string
  admin: { username: string; password: string }
  /** As a superuser, in the target database. */
  sql<Row extends object = Record<string, unknown>>(text: string, values?: unknown[]): Promise<Row[]>
  /** Opens a connection by password, as a workload would; fails when the server refuses it. */
  login(username: string, password: string): Promise<Client>
  /** The server's whole log. */
  log(): string
  stopHard(): Promise<void>
  start(): Promise<void>
  stop(): Promise<void>
}

/** A database `orders` with a schema `shop`, and an administrative role that is not a superuser. */
export async function startTarget(identity?: { cert: string; key: string }): Promise<TargetServer> {
  const directory = await mkdtemp(join(tmpdir(), 'purser-target-'))
  await chmod(directory, 0o755)
  const hba = join(directory, 'hba.conf')
  await writeFile(hba, 'host all postgres 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n')
  await chmod(hba, 0o644)
  const logLines: string[] = []
  const [cert, key] = [join(directory, 'server.pem'), join(directory, 'server.key')]
  if (identity) {
    await writeFile(cert, identity.cert)
    await writeFile(key, identity.key, { mode: 0o600 })
    const { as } = await findBinaries()
    if (as.uid !== undefined && as.gid !== undefined) await chown(key, as.uid, as.gid)
  }
  const postgres = await startTestServer({
    settings: {
      hba_file: hba,
      log_statement: 'all',
      ...(identity && { ssl: 'on', ssl_cert_file: cert, ssl_key_file: key }),
    },
    onLog: (text) => void logLines.push(text),
  }).catch(async (error: unknown) => {
    await rm(directory, { recursive: true, force: true })
    throw error
  })
  const port = Number(new URL(postgres.url).port)

  const connect = async (user: string, password: string | undefined, database: string): Promise<Client> => {
    const client = new Client({ host: '127.0.0.1', port, user, password: password ?? '', database })
    client.on('error', () => undefined)
    await client.connect()
    return client
  }
  const once = async <Row extends object>(database: string, text: string, values: unknown[] = []): Promise<Row[]> => {
    const client = await connect('postgres', undefined, database)
    try {
      return (await client.query<Row>(text, values)).rows
    } finally {
      await client.end()
    }
  }
  const admin = { username: 'purser_admin', password: 'Adm1n-of-the-target-0001' }
  await once('postgres', 'create database orders')
  for (const text of [
    `create role purser_admin login createrole password '${admin.password}'`,
    'create role readers nologin',
    'grant readers to purser_admin with admin option',
    'create schema shop authorization purser_admin',
    'create table shop.item (id int primary key, name text)',
    'create sequence shop.numbers',
    'alter table shop.item owner to purser_admin',
    'alter sequence shop.numbers owner to purser_admin',
    'insert into shop.item values (1, $$lamp$$)',
    // Fixed names, so that a catalog before and after a role can be compared.
    'grant all on schema shop to purser_admin',
    'grant all on all tables in schema shop to purser_admin',
    'grant all on all sequences in schema shop to purser_admin',
  ]) {
    await once('orders', text)
  }
  // The statements that set the administrator's password contained it.
  logLines.length = 0
  return {
    host: '127.0.0.1',
    port,
    database: 'orders',
    admin,
    sql: (text, values) => once('orders', text, values),
    login: (username, password) => connect(username, password, 'orders'),
    log: () => logLines.join(''),
    stopHard: () => postgres.stopHard(),
    start: () => postgres.start(),
    async stop() {
      await postgres.stop()
      await rm(directory, { recursive: true, force: true })
    },
  }
}
