/**
 * What closes the log for every replica. `closed_reason`: a replica knows that the database was put back. `server`: where
 * the log was written last, as `log_server()` names it; empty where nothing watches over fail-overs. `synchronous`: each
 * entry since then waited for a synchronous standby.
 *
 * Not `breaking`: the version before runs on it, and may be rolled back to. It reads none of these columns, so `log_append`
 * makes its changes fail while the log takes no entries.
 */
import type { Knex } from 'knex'
import { logAppend } from './log-append.ts'

const columns = [
  `alter table log_head add column closed_reason text, add column closed_at timestamptz,
     add column server text, add column synchronous boolean not null default false`,
]

/**
 * System identifier and live timeline of the server: a promotion begins the next timeline at once, and
 * pg_control_checkpoint() follows with its first checkpoint. Nothing on a standby, and where the functions are hidden.
 */
const logServer = `
create or replace function log_server() returns text language plpgsql as $$
begin
  return (select system_identifier from pg_control_system())
         || '/' || ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int;
exception when others then
  return null;
end $$`

export const logIdentity = {
  name: '004-log-identity',
  async up(knex: Knex): Promise<void> {
    for (const statement of [...columns, logServer, logAppend]) await knex.raw(statement)
  },
}
