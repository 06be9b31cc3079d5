/**
 * The embedded store: PGlite (Postgres as WebAssembly in this process) behind Knex's Postgres dialect. It is for trials,
 * development and CI: without fsync its data survives the end of the process, but not a power loss.
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

// How node-postgres serializes a value (dates, arrays, JSON, bytes). Its types lack it, and it makes both stores equal.
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

    /** Uses the extended protocol, which accepts one statement. */
    async _query(connection: Connection, statement: Statement): Promise<Statement> {
      try {
        const result = await connection.pglite.query(statement.sql, (statement.bindings ?? []).map(prepareValue))
        const { command = '', rowCount = null, rows, fields } = result
        statement.response = { command, rowCount, rows, fields }
      } catch (error) {
        // PGlite attaches the values to its error, from where they could reach a log.
        if (error instanceof Error)
          for (const name of ['params', 'query', 'queryOptions']) Reflect.deleteProperty(error, name)
        throw error
      }
      return refuseSilentRollback(statement)
    }

    /**
     * PGlite runs without yielding to the event loop. The pool of one connection calls this after each transaction and
     * after each statement outside of one: the next user waits for one turn, so that timers and sockets are served.
     */
    override async releaseConnection(connection: Connection): Promise<void> {
      await new Promise((resolve) => setImmediate(resolve))
      await super.releaseConnection(connection)
    }
  }

/** Parses every type as node-postgres does: int8 stays text, bytea becomes a Buffer. */
function speakLikePg(pglite: PGlite): void {
  // The types of node-postgres list only the oids of built-in types.
  const reader: (oid: number, format: 'text') => (value: string) => unknown = types.getTypeParser
  for (const oid of Object.keys(pglite.parsers)) pglite.parsers[oid] = reader(Number(oid), 'text')
  for (const oid of Object.keys(pglite.serializers)) pglite.serializers[oid] = (value: string) => value
}

/** Whether the directory contains a database. Opening creates one. */
export const hasDatabase = (dataDir: string): boolean => existsSync(join(dataDir, 'database', 'PG_VERSION'))

export type EmbeddedDatabase = Database & { kind: 'embedded'; pglite: PGlite }

/**
 * Opens the database in `<dataDir>/database`, and creates it when missing. Without `dataDir` it lives in memory. `load` is
 * the output of PGlite's `dumpDataDir` to start from.
 * @throws StoreLocked when another process uses the directory
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
    // Otherwise a statement outside of the open transaction that is awaited inside it would wait for ever.
    acquireConnectionTimeout: 20_000,
    compileSqlOnError: false,
    // Knex also throws everything that it would print.
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
