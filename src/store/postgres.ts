/** The production store: a pool of connections to Postgres that neither hold the head's lock when cut off, nor hang. */
import knex from 'knex'
import type { Knex } from 'knex'
import type { Client } from 'pg'
import { type Connector, createConnector } from './connect.ts'
import type { Database } from './database.ts'
import { PostgresDialect, type Statement, hideStatements, refuseSilentRollback } from './dialect.ts'
import { createListener } from './listener.ts'

type Connection = Client & { __knex__disposed?: unknown; openedAt?: number }

/** BEGIN, COMMIT and ROLLBACK do no work of their own: after so many milliseconds nobody answers any more. */
const controlMs = 4_000
const isControl = (sql: string): boolean => /^(begin|commit|rollback)\b/i.test(sql)

// After these the connection itself is of no more use: a lost answer, or a server that has become a standby.
const isUnanswered = (error: Error): boolean => error.message === 'Query read timeout'
const useless = (error: Error & { code?: string }): boolean => isUnanswered(error) || error.code === '25006'

/**
 * Postgres committed and gave up the wait for its synchronous standby, since the backend was cancelled: the client gets a
 * warning and no error. The routine is the same in every language of the server.
 */
const isCancelledWait = ({ routine }: { routine: string | undefined }): boolean => routine === 'SyncRepWaitForLSN'

/** Class 08 (connection exception): the answer counts as lost, and what is at stake is looked up. */
const unreplicated = (): Error =>
  Object.assign(new Error('the wait for the synchronous standby was cancelled: it may lack what was committed'), {
    code: '08007',
  })

const dialectWith = (
  { connect, distrust }: Connector,
  prepare: (fresh: Client) => Promise<unknown>,
): typeof PostgresDialect => {
  // When an answer was last missed. Not a member: in a transaction `this` is another client than the pool's.
  let missedAt = -Infinity
  const cancelledWaits = new WeakSet<Client>()
  return class PooledDialect extends PostgresDialect {
    /** Knex's own knows one host. */
    async _acquireOnlyConnection(): Promise<Connection> {
      const fresh: Connection = await connect()
      // Knex looks for this name before it hands a connection out again.
      fresh.on('error', (error) => (fresh.__knex__disposed = error))
      fresh.on('end', () => (fresh.__knex__disposed ??= 'Connection ended unexpectedly'))
      return fresh
    }

    override async acquireRawConnection(): Promise<Connection> {
      const fresh: Connection = await super.acquireRawConnection()
      fresh.openedAt = performance.now()
      fresh.on('notice', (notice) => {
        if (isCancelledWait(notice)) cancelledWaits.add(fresh)
      })
      try {
        await prepare(fresh)
        return fresh
      } catch (error) {
        void fresh.end().catch(() => undefined)
        throw error
      }
    }

    /** Of connections that idle: a network that was cut tells nobody, and each of them would be waited for. */
    override async validateConnection({ openedAt = 0 }: Connection): Promise<boolean> {
      return openedAt > missedAt
    }

    /** Always the extended protocol, which takes one statement, as the embedded store does. */
    async _query(connection: Connection, statement: Statement): Promise<Statement> {
      const query = {
        ...(isControl(statement.sql) && { query_timeout: controlMs }),
        ...statement.options,
        text: statement.sql,
        values: statement.bindings ?? [],
        queryMode: 'extended',
      }
      try {
        statement.response = await connection.query(query)
        if (cancelledWaits.delete(connection)) throw unreplicated()
      } catch (error) {
        if (error instanceof Error && isUnanswered(error)) missedAt = performance.now()
        if (error instanceof Error && useless(error)) {
          distrust()
          // What the server holds for it ends with it.
          connection.__knex__disposed = error
          void connection.end().catch(() => undefined)
        }
        throw error
      }
      return refuseSilentRollback(statement)
    }
  }
}

/**
 * `synchronous_commit` may be raised by the operator for a standby (`remote_apply`), never lowered. Keep-alives and the
 * user timeout make the server drop a replica that vanished, and with it the lock that it held, within seconds. Warnings
 * are sent: one of them says that a standby may lack a commit.
 */
const session = `
  select set_config('synchronous_commit', case current_setting('synchronous_commit') when 'remote_apply' then 'remote_apply' else 'on' end, false),
         set_config('client_min_messages', 'notice', false),
         set_config('lock_timeout', '2s', false),
         set_config('statement_timeout', $1, false),
         set_config('idle_in_transaction_session_timeout', '2s', false),
         set_config('tcp_keepalives_idle', '3', false),
         set_config('tcp_keepalives_interval', '1', false),
         set_config('tcp_keepalives_count', '3', false),
         set_config('tcp_user_timeout', '5s', false)`

export type PostgresOptions = {
  url: string
  /** Most connections of the pool; 10 unless given. One more listens. */
  poolMax?: number
  applicationName?: string
  /**
   * How long a statement may take; 6 unless given, since a server works in small steps and what waits for one that a
   * network swallowed holds up others. Migrations and what runs offline open with more.
   */
  statementSeconds?: number
  /** Told of trouble with connections, also where nobody waits for an answer. */
  onError?: (error: unknown) => void
}

export type PostgresDatabase = Database & { kind: 'postgres' }

/** Connects when first used; `checkPostgres` asks whether this server will do. */
export function openPostgres(options: PostgresOptions): PostgresDatabase {
  const { url, poolMax = 10, applicationName = 'purser', statementSeconds = 6, onError } = options
  const settings = {
    application_name: applicationName,
    // Above the server's own limit: it fires when nobody answers any more.
    query_timeout: (statementSeconds + 2) * 1_000,
    keepAlive: true,
    keepAliveInitialDelayMillis: 3_000,
  }
  const tell = (message: unknown): void => onError?.(new Error(String(message)))
  const database = knex({
    client: dialectWith(createConnector(url, settings), (fresh) => {
      fresh.on('error', (error) => onError?.(error))
      return fresh.query(session, [`${statementSeconds}s`])
    }),
    connection: {},
    pool: { min: 0, max: poolMax },
    acquireConnectionTimeout: 5_000,
    compileSqlOnError: false,
    log: { warn: tell, error: tell },
  })
  hideStatements(database)
  const listener = createListener(createConnector(url, { ...settings, query_timeout: 5_000 }).connect, onError)
  return {
    knex: database,
    kind: 'postgres',
    listen: listener.listen,
    async close() {
      await listener.close()
      await database.destroy()
    },
  }
}

/** This Postgres can't keep Purser's promises; the message says why and what to do. */
export class UnfitPostgres extends Error {
  /** Our own words: a log may show them. */
  readonly safeToLog = true
  override readonly name = 'UnfitPostgres'
}

/** The same database, or closed: a connection that stays open would keep its process alive. Throws as `checkPostgres`. */
export async function requireFit(db: PostgresDatabase): Promise<PostgresDatabase> {
  try {
    await checkPostgres(db.knex)
    return db
  } catch (error) {
    await db.close()
    throw error
  }
}

/** Throws UnfitPostgres on a server older than 14, or one with `fsync=off`: there an acknowledged entry may be lost. */
export async function checkPostgres(db: Knex): Promise<void> {
  const rows = await db.select<{ version: string; fsync: string }[]>(
    db.raw(`current_setting('server_version_num') as version, current_setting('fsync') as fsync`),
  )
  const version = Number(rows[0]?.version)
  if (!(version >= 140_000)) throw new UnfitPostgres(`PostgreSQL 14 or newer is needed; this one is ${version}`)
  if (rows[0]?.fsync !== 'on')
    throw new UnfitPostgres('this Postgres runs with fsync=off and may lose what it acknowledged')
}
