/** The interface of both stores, and the meaning of their errors. test/store/dialect.test.ts runs the same SQL on each. */
import knex from 'knex'
import type { Knex } from 'knex'

/** For signatures in other folders: only this folder imports knex. */
export type { Knex }

export type Database = {
  /** Inside `knex.transaction(tx => …)` only `tx` may be used: the embedded store has one connection. */
  knex: Knex
  kind: 'postgres' | 'embedded'
  close: () => Promise<void>
  /**
   * Calls `fn` with the payload of every NOTIFY on the channel until the returned function is called. Notifications
   * may be lost while Postgres is unreachable: `onGap` is called each time that listening resumes.
   */
  listen: (channel: string, fn: (payload: string) => void, onGap?: () => void) => Promise<() => Promise<void>>
}

function sqlState(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  return typeof code === 'string' ? code : ''
}

/** A unique or primary key already has that value (SQLSTATE 23505). */
export const isUniqueViolation = (error: unknown): boolean => sqlState(error) === '23505'

/** Postgres refused the data of a row (classes 22, data exception, and 23, integrity constraint): the same row fails again. */
export const isRowFault = (error: unknown): boolean => /^2[23]...$/.test(sqlState(error))

/** A lock timeout, a deadlock or a serialization failure: the transaction was rolled back and can be retried. */
export const isLockTimeout = (error: unknown): boolean => ['55P03', '40P01', '40001'].includes(sqlState(error))

/** Postgres rolled back one of two transactions that waited for each other (deadlock_detected). */
export const isDeadlock = (error: unknown): boolean => sqlState(error) === '40P01'

/** The statement exceeded `statement_timeout` and was rolled back (query_canceled). */
export const isTimeout = (error: unknown): boolean => sqlState(error) === '57014'

/** The server is out of disk space or memory, or its disk fails (classes 53 and 58): nothing was stored. */
export const isExhausted = (error: unknown): boolean => /^5[38]...$/.test(sqlState(error))

// Class 08 (connection exception); shutdowns and "starting up" (57P0x), a session ended for idling in a transaction
// (25P03), too many connections (53300), a server that became a standby (25006); then the codes of Node's sockets.
const connectionCodes =
  /^(08...|57P0[1235]|25P03|25006|53300|E(CONN[A-Z]+|PIPE|TIMEDOUT|HOSTUNREACH|NETUNREACH|HOSTDOWN|NOTFOUND|AI_AGAIN))$/

// node-postgres sets no code on these errors.
const connectionMessages =
  /Connection terminated|Query read timeout|timeout expired|(has encountered a connection error|was closed) and is not queryable|Connection ended/

/**
 * Postgres is unreachable, or disconnected during a statement. The transaction may or may not have been committed.
 * Includes a pool that has no connection in time, where nothing was sent.
 */
export function isConnectionError(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  const code = sqlState(error)
  return (
    error instanceof knex.KnexTimeoutError ||
    (code === '' ? connectionMessages.test(error.message) : connectionCodes.test(code))
  )
}
