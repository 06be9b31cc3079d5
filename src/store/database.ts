/** What both stores offer, and what their errors mean. The same SQL runs on each; test/store/dialect.test.ts holds them equal. */
import knex from 'knex'
import type { Knex } from 'knex'

/** For signatures elsewhere: knex itself is known in this folder alone. */
export type { Knex }

export type Database = {
  /** Inside `knex.transaction(tx => …)` only `tx` may be used: the embedded store has one connection. */
  knex: Knex
  kind: 'postgres' | 'embedded'
  close: () => Promise<void>
  /**
   * Calls `fn` with the payload of every NOTIFY on the channel until the answered function is called. Notifications
   * may be lost while Postgres can't be reached: `onGap` is called each time that listening was resumed.
   */
  listen: (channel: string, fn: (payload: string) => void, onGap?: () => void) => Promise<() => Promise<void>>
}

function sqlState(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  return typeof code === 'string' ? code : ''
}

/** A unique or primary key already has that value (SQLSTATE 23505). */
export const isUniqueViolation = (error: unknown): boolean => sqlState(error) === '23505'

/** The data of a row was refused (classes 22, data exception, and 23, integrity constraint): the same row fails again. */
export const isRowFault = (error: unknown): boolean => /^2[23]...$/.test(sqlState(error))

/** Waiting for a lock took too long, or ended in a deadlock or a serialization failure: rolled back, may be sent again. */
export const isLockTimeout = (error: unknown): boolean => ['55P03', '40P01', '40001'].includes(sqlState(error))

/** Postgres ended one of two transactions that waited for each other (deadlock_detected); nothing of it is left. */
export const isDeadlock = (error: unknown): boolean => sqlState(error) === '40P01'

/** It ran into `statement_timeout` (query_canceled); nothing of it is left. */
export const isTimeout = (error: unknown): boolean => sqlState(error) === '57014'

/** The server has no room or memory left, or its disk fails (classes 53 and 58): nothing was kept. */
export const isExhausted = (error: unknown): boolean => /^5[38]...$/.test(sqlState(error))

// Class 08 (connection exception); shutdowns and "starting up" (57P0x), a session ended for idling in a transaction
// (25P03), too many connections (53300), a server that became a standby (25006); then what Node's sockets say.
const connectionCodes =
  /^(08...|57P0[1235]|25P03|25006|53300|E(CONN[A-Z]+|PIPE|TIMEDOUT|HOSTUNREACH|NETUNREACH|HOSTDOWN|NOTFOUND|AI_AGAIN))$/

// node-postgres gives these no code.
const connectionMessages =
  /Connection terminated|Query read timeout|timeout expired|(has encountered a connection error|was closed) and is not queryable|Connection ended/

/**
 * Postgres can't be reached, or went away under a statement. What was under way may or may not have been committed.
 * A pool that found no connection in time (nothing was sent) counts as well.
 */
export function isConnectionError(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  const code = sqlState(error)
  return (
    error instanceof knex.KnexTimeoutError ||
    (code === '' ? connectionMessages.test(error.message) : connectionCodes.test(code))
  )
}
