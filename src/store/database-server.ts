/** The database server: on which one the log is written, and the lock that running servers of Purser share on it. */
import type { Knex } from './database.ts'

export type ServerFacts = {
  /** `<system identifier>/<timeline>`; absent when the role may not read them. */
  server?: string
  /** Commits wait for a synchronous standby. */
  isSynchronous: boolean
}

export async function readServer(knex: Knex): Promise<ServerFacts> {
  const { rows } = await knex.raw<{ rows: { server: string | null; waits_for: string }[] }>(
    `select log_server() as server, current_setting('synchronous_standby_names') as waits_for`,
  )
  const [row] = rows
  return { ...(row?.server && { server: row.server }), isSynchronous: (row?.waits_for ?? '') !== '' }
}

/** Lets the log accept entries on this server only, or on any server for null. */
export const bindServer = (knex: Knex, binding: { server: string | null; synchronous: boolean }): Promise<unknown> =>
  knex('log_head').update(binding)

/** Lets the log accept entries on any server, unless it is bound to a server other than this. */
export const unbindServer = (knex: Knex): Promise<unknown> =>
  knex('log_head').whereNull('server').orWhereRaw('server = log_server()').update({ server: null, synchronous: false })

/** "pser" in ASCII. */
export const serversLock = 0x70736572

/**
 * Keeps servers off this database for the rest of the transaction. Only one process can open the embedded store anyway.
 * @returns false when a server is running
 */
export async function excludeServers(tx: Knex.Transaction): Promise<boolean> {
  const { rows } = await tx.raw<{ rows: { alone: boolean }[] }>('select pg_try_advisory_xact_lock(?) as alone', [
    serversLock,
  ])
  return rows[0]?.alone === true
}
