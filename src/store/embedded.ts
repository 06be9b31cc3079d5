/**
 * The embedded store: PGlite, which is Postgres as WebAssembly inside this process, behind Knex's own Postgres dialect.
 * For trying out, development and CI: it has no fsync, so it survives the process's death and not a power loss.
 */
import { existsSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { PGlite } from '@electric-sql/pglite'
import knex from 'knex'
import { types } from 'pg'
import type { Database } from './database.ts'
import { PostgresDialect, type Statement, hideStatements, refuseSilentRollback } from './dialect.ts'
import { takeLock } from './lock.ts'

// How node-postgres writes a value (dates, arrays, JSON, bytes): not in its types, but what makes both stores equal.
const { prepareValue }: { prepareValue: (value: unknown) => string | Buffer | null } = createRequire(import.meta.url)(
  'pg/lib/utils',
)

type Connection = { pglite: PGlite }

const dialectOver = (pglite: PGlite): typeof PostgresDialect =>
  class EmbeddedDialect extends PostgresDialect {
    override async acquireRawConnection(): Promise<Connection> {
      return { pglite }
    }

    override async destroyRawConnection(): Promise<void> {}

    /** The extended protocol, which takes one statement. */
    async _query(connection: Connection, statement: Statement): Promise<Statement> {
      try {
        const result = await connection.pglite.query(statement.sql, (statement.bindings ?? []).map(prepareValue))
        const { command = '', rowCount = null, rows, fields } = result
        statement.response = { command, rowCount, rows, fields }
      } catch (error) {
        // PGlite hangs the values on its error, where a log would find them.
        if (error instanceof Error)
          for (const name of ['params', 'query', 'queryOptions']) Reflect.deleteProperty(error, name)
        throw error
      }
      return refuseSilentRollback(statement)
    }

    /**
     * PGlite works without ever leaving the event loop. The pool of one passes here after each statement outside a
     * transaction and after each transaction: the next holder waits for one turn, so timers and sockets have theirs.
     */
    override async releaseConnection(connection: Connection): Promise<void> {
      await new Promise((resolve) => setImmediate(resolve))
      await super.releaseConnection(connection)
    }
  }

/** node-postgres's own reading of every type that PGlite knows: int8 stays text, bytea is a Buffer. */
function speakLikePg(pglite: PGlite): void {
  // Its own types know the oids of built-in types alone.
  const reader: (oid: number, format: 'text') => (value: string) => unknown = types.getTypeParser
  for (const oid of Object.keys(pglite.parsers)) pglite.parsers[oid] = reader(Number(oid), 'text')
  for (const oid of Object.keys(pglite.serializers)) pglite.serializers[oid] = (value: string) => value
}

/** Whether a database was ever made there: opening makes one. */
export const hasDatabase = (dataDir: string): boolean => existsSync(join(dataDir, 'database', 'PG_VERSION'))

export type EmbeddedDatabase = Database & { kind: 'embedded'; pglite: PGlite }

/**
 * Opens the database in `<dataDir>/database`, made when missing, or in memory without `dataDir`. `load` is a dump of
 * PGlite's `dumpDataDir`, to start from. Throws StoreLocked when another process has the directory.
 */
export async function openEmbedded(options: { dataDir: string | undefined; load?: Blob }): Promise<EmbeddedDatabase> {
  const { dataDir, load } = options
  if (dataDir !== undefined) await mkdir(dataDir, { recursive: true, mode: 0o700 })
  const lock = dataDir === undefined ? undefined : await takeLock(join(dataDir, 'lock'))
  let pglite: PGlite
  try {
    pglite = await PGlite.create({
      ...(dataDir !== undefined && { dataDir: join(dataDir, 'database') }),
      ...(load && { loadDataDir: load }),
    })
  } catch (error) {
    await lock?.release()
    throw error
  }
  speakLikePg(pglite)
  const database = knex({
    client: dialectOver(pglite),
    connection: {},
    pool: { min: 1, max: 1 },
    // A statement outside of the open transaction, awaited inside it, would wait for ever.
    acquireConnectionTimeout: 20_000,
    compileSqlOnError: false,
    // Everything that Knex would print is thrown as well.
    log: { warn: () => undefined, error: () => undefined },
  })

  hideStatements(database)

  const listeners = new Map<string, Set<(payload: string) => void>>()
  pglite.onNotification((channel, payload) => {
    for (const fn of listeners.get(channel) ?? []) fn(payload)
  })
  return {
    knex: database,
    pglite,
    kind: 'embedded',
    async close() {
      await database.destroy()
      if (!pglite.closed) await pglite.close()
      await lock?.release()
    },
    async listen(channel, fn) {
      const set = listeners.get(channel) ?? new Set()
      listeners.set(channel, set.add(fn))
      await database.raw('listen ??', [channel])
      return async () => {
        set.delete(fn)
      }
    },
  }
}
