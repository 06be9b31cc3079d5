/** Knex's own Postgres dialect, in the typed form that the dialects of both stores extend. */
import knex from 'knex'
import type { Knex } from 'knex'

/** The statement that Knex passes to a dialect, which stores the response in it. */
export type Statement = { sql: string; bindings?: unknown[]; options?: object; response?: Response }

/** The shape of node-postgres's `Result`. */
type Response = {
  command: string
  rowCount: number | null
  rows: unknown[]
  fields: { name: string; dataTypeID: number }[]
}

// The class is taken from an instance: Knex exports it only from inside the package.
export const PostgresDialect: typeof Knex.Client = knex({ client: 'pg' }).client.constructor

/** Removes the statement that Knex puts before the server's message: it may hold values, and logs show messages. */
export function hideStatements(database: Knex): void {
  database.on('query-error', (error: Error, { sql }: { sql: string }) => {
    const prefix = `${sql} - `
    if (error.message.startsWith(prefix)) error.message = error.message.slice(prefix.length)
  })
}

/**
 * Postgres answers the COMMIT of a failed transaction with ROLLBACK and no error (documentation of COMMIT). Code that
 * swallowed the error of the failed statement would take the transaction for committed.
 */
export function refuseSilentRollback(statement: Statement): Statement {
  if (/^commit\b/i.test(statement.sql) && statement.response?.command === 'ROLLBACK') {
    throw Object.assign(new Error('the transaction had failed and was rolled back'), { code: '25P02' })
  }
  return statement
}
