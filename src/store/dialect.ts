/** Knex's own Postgres dialect, in the typed form that the dialects of both stores extend. */
import knex from 'knex'
import type { Knex } from 'knex'

/** What Knex hands to a dialect, and where it looks for the answer. */
export type Statement = { sql: string; bindings?: unknown[]; options?: object; response?: Response }

/** The shape of node-postgres's `Result`. */
type Response = {
  command: string
  rowCount: number | null
  rows: unknown[]
  fields: { name: string; dataTypeID: number }[]
}

// Its class by way of the public interface: no import from inside the package.
export const PostgresDialect: typeof Knex.Client = knex({ client: 'pg' }).client.constructor

/** Knex puts the statement before the words of the server: people and logs are better off without it. */
export function hideStatements(database: Knex): void {
  database.on('query-error', (error: Error, { sql }: { sql: string }) => {
    const prefix = `${sql} - `
    if (error.message.startsWith(prefix)) error.message = error.message.slice(prefix.length)
  })
}

/**
 * Postgres answers a COMMIT of a failed transaction with ROLLBACK, and no error (documentation of COMMIT). Whoever
 * swallowed the failed statement would believe that it was kept.
 */
export function refuseSilentRollback(statement: Statement): Statement {
  if (/^commit\b/i.test(statement.sql) && statement.response?.command === 'ROLLBACK') {
    throw Object.assign(new Error('the transaction had failed and was rolled back'), { code: '25P02' })
  }
  return statement
}
