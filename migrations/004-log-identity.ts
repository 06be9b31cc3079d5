/**
 * Columns that close the log for every replica. `closed_reason`: a replica has found that the database was restored to an
 * older state. `server`: the server on which the log is written, by `log_server()`; null when fail-overs are not checked.
 * `synchronous`: each entry since then waited for a synchronous standby.
 *
 * Not `breaking`: the previous version runs on this schema, so a rollback to it is possible. It does not read these columns,
 * so `log_append` makes its changes fail while the log accepts no entries.
 */
import type { Knex } from 'knex'

const columns = [
  `alter table log_head add column closed_reason text, add column closed_at timestamptz,
     add column server text, add column synchronous boolean not null default false`,
]

/**
 * System identifier and current timeline of the server. A promotion starts the next timeline at once, while
 * pg_control_checkpoint() shows it only after the first checkpoint. Null on a standby, and without the needed privileges.
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
    for (const statement of [...columns, logServer]) await knex.raw(statement)
  },
}
