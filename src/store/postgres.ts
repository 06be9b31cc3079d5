/** The production store: a pool of Postgres connections that never hang, and lose their locks when they are cut off. */
import knex from 'knex'
import type { Knex } from 'knex'
import type { Client } from 'pg'
import { type Connector, createConnector } from './connect.ts'
import type { Database } from './database.ts'
import { PostgresDialect, type Statement, hideStatements, refuseSilentRollback } from './dialect.ts'
import { createListener } from './listener.ts'

type Connection = Client & { __knex__disposed?: unknown; openedAt?: number }

/** Milliseconds after which a server that has not answered BEGIN, COMMIT or ROLLBACK counts as unreachable. */
const controlMs = 4_000
const isControl = (sql: string): boolean => /^(begin|commit|rollback)\b/i.test(sql)

// After these errors the connection is closed: a lost answer, or a server that has become a standby.
const isUnanswered = (error: Error): boolean => error.message === 'Query read timeout'
const isFatal = (error: Error & { code?: string }): boolean => isUnanswered(error) || error.code === '25006'

/**
 * Postgres committed and stopped waiting for its synchronous standby because the backend was cancelled: the client gets a
 * warning and no error. The routine's name does not depend on the language of the server.
 */
const isCancelledWait = ({ routine }: { routine: string | undefined }): boolean => routine === 'SyncRepWaitForLSN'

/** Class 08 (connection exception): the answer counts as lost, and the caller looks up the outcome. */
const unreplicated = (): Error =>
  Object.assign(new Error('the wait for the synchronous standby was cancelled: it may lack what was committed'), {
    code: '08007',
  })

const dialectWith = (
  { connect, distrust }: Connector,
  prepare: (fresh: Client) => Promise<unknown>,
): typeof PostgresDialect => {
  // The time of the last missing answer. Not a member, since in a transaction `this` is not the client of the pool.
  let missedAt = -Infinity
  const cancelledWaits = new WeakSet<Client>()
  return class PooledDialect extends PostgresDialect {
    /** Knex's own implementation supports one host only. */
    async _acquireOnlyConnection(): Promise<Connection> {
      const fresh: Connection = await connect()
      // Knex checks this member before it reuses a connection.
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

    /** Discards idle connections that are older than the last missing answer: each would time out after a network failure. */
    override async validateConnection({ openedAt = 0 }: Connection): Promise<boolean> {
      return openedAt > missedAt
    }

    /** Always uses the extended protocol, which accepts one statement, as the embedded store does. */
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
        if (error instanceof Error && isFatal(error)) {
          distrust()
          // The server releases the locks of a connection that ends.
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
 * The operator may raise `synchronous_commit` for a standby (`remote_apply`), but never lower it. Keep-alives and the user
 * timeout make the server drop a vanished replica and its locks within seconds. Warnings are enabled because one of them
 * says that a standby may lack a commit.
 */
const sessionSettings = `
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
  /** Maximum connections of the pool, 10 by default. One more connection listens. */
  poolMax?: number
  applicationName?: string
  /**
   * Time limit of a statement, 6 by default: a server runs short statements, and one whose answer is lost delays others.
   * Migrations and offline commands use more.
   */
  statementSeconds?: number
  /** Called with connection errors, also outside of a statement. */
  onError?: (error: unknown) => void
}

export type PostgresDatabase = Database & { kind: 'postgres' }

/** Opens the store without connecting. `checkPostgres` tells whether the server is suitable. */
export function openPostgres(options: PostgresOptions): PostgresDatabase {
  const { url, poolMax = 10, applicationName = 'purser', statementSeconds = 6, onError } = options
  const settings = {
    application_name: applicationName,
    // Above the server's own limit: it applies when the server no longer answers.
    query_timeout: (statementSeconds + 2) * 1_000,
    keepAlive: true,
    keepAliveInitialDelayMillis: 3_000,
  }
  const reportMessage = (message: unknown): void => onError?.(new Error(String(message)))
  const database = knex({
    client: dialectWith(createConnector(url, settings), (fresh) => {
      fresh.on('error', (error) => onError?.(error))
      return fresh.query(sessionSettings, [`${statementSeconds}s`])
    }),
    connection: {},
    pool: { min: 0, max: poolMax },
    acquireConnectionTimeout: 5_000,
    compileSqlOnError: false,
    log: { warn: reportMessage, error: reportMessage },
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

/** This Postgres server does not meet Purser's requirements. */
export class UnfitPostgres extends Error {
  /** The message holds a version number only. */
  readonly safeToLog = true
  override readonly name = 'UnfitPostgres'
}

/**
 * Returns the database, or closes it when it is unsuitable: an open connection would keep the process alive.
 * @throws UnfitPostgres
 */
export async function requireFit(db: PostgresDatabase): Promise<PostgresDatabase> {
  try {
    await checkPostgres(db.knex)
    return db
  } catch (error) {
    await db.close()
    throw error
  }
}

/** @throws UnfitPostgres on a server older than 14, or with `fsync=off`, which may lose acknowledged entries */
export async function checkPostgres(db: Knex): Promise<void> {
  const rows = await db.select<{ version: string; fsync: string }[]>(
    db.raw(`current_setting('server_version_num') as version, current_setting('fsync') as fsync`),
  )
  const version = Number(rows[0]?.version)
  if (!(version >= 140_000)) throw new UnfitPostgres(`PostgreSQL 14 or newer is needed; this server is ${version}`)
  if (rows[0]?.fsync !== 'on')
    throw new UnfitPostgres('this Postgres runs with fsync=off and may lose acknowledged commits; set fsync=on')
}
