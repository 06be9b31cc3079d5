/** The database server that the log is written on, and what the log remembers of it. */
import type { Knex } from 'knex'

export type ServerFacts = {
  /** `<system identifier>/<timeline>`; nothing where Postgres hides them. */
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

/** The log takes entries on this server alone; nothing: on any. Its commit covers what was appended before. */
export const bindServer = (knex: Knex, binding: { server: string | null; synchronous: boolean }): Promise<unknown> =>
  knex('log_head').update(binding)

/** The log takes entries on any server, unless it was written on another one than this. */
export const unbindServer = (knex: Knex): Promise<unknown> =>
  knex('log_head').whereNull('server').orWhereRaw('server = log_server()').update({ server: null, synchronous: false })
