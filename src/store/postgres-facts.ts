/** Facts about a Postgres server and the role of the connection, for `purser doctor`. Changes nothing. */
import type { Knex } from 'knex'
import { type Columns, membersOf } from './columns.ts'

export type PostgresFacts = {
  version: string
  /** `server_version_num`, at least 140000. */
  versionNumber: number
  fsync: boolean
  fullPageWrites: boolean
  /** The server is a standby, which accepts no writes. */
  standby: boolean
  readOnly: boolean
  /** `synchronous_standby_names`; empty when commits wait for no standby. */
  waitsFor: string
  /** The clients that stream the write-ahead log. A role without pg_monitor sees no `sync`. */
  standbys: { name: string | null; sync: string | null }[]
  encrypted: boolean
  role: string
  superuser: boolean
  /** The role owns the log's table, or is a member of its owner; false when there is no such table. */
  ownsLog: boolean
}

export async function readPostgresFacts(knex: Knex): Promise<PostgresFacts> {
  const { rows } = await knex.raw<{ rows: Columns<Omit<PostgresFacts, 'standbys'>>[] }>(
    `select current_setting('server_version') as version,
            current_setting('server_version_num')::int as version_number,
            current_setting('fsync') = 'on' as fsync,
            current_setting('full_page_writes') = 'on' as full_page_writes,
            pg_is_in_recovery() as standby,
            current_setting('default_transaction_read_only') = 'on' as read_only,
            current_setting('synchronous_standby_names') as waits_for,
            current_user::text as role,
            r.rolsuper as superuser,
            coalesce((select pg_has_role(c.relowner, 'usage') from pg_class c where c.oid = to_regclass('log_entry')), false)
              as owns_log,
            coalesce((select s.ssl from pg_stat_ssl s where s.pid = pg_backend_pid()), false) as encrypted
       from pg_roles r where r.rolname = current_user`,
  )
  const [row] = rows
  if (!row) throw new Error('the role of this connection is not in pg_roles')
  return { ...membersOf<Omit<PostgresFacts, 'standbys'>>(row), standbys: await readStandbys(knex) }
}

/** Leaves out base backups, which also stream but cannot take over. */
async function readStandbys(knex: Knex): Promise<PostgresFacts['standbys']> {
  const { rows } = await knex.raw<{ rows: PostgresFacts['standbys'] }>(
    `select application_name as name, sync_state as sync from pg_stat_replication where state is distinct from 'backup'`,
  )
  return rows
}

/** The clock of the database, on both stores. */
export async function readClock(knex: Knex): Promise<Date> {
  const { rows } = await knex.raw<{ rows: { now: Date }[] }>('select clock_timestamp() as now')
  const [row] = rows
  if (!row) throw new Error('the database returned no time')
  return row.now
}

/** The process id of the backend that serves the connection. */
export async function readBackend(knex: Knex): Promise<number> {
  const { rows } = await knex.raw<{ rows: { pid: number }[] }>('select pg_backend_pid() as pid')
  return rows[0]?.pid ?? 0
}
