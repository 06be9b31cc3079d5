/**
 * Changes of secrets are apart from changes of policy. `log_head.revision` numbers both, and stamps the rows that change.
 * `policy_revision` is the number of the last change of policy: a decision is outdated only by those.
 */
import type { Knex } from 'knex'
import { appendTypes } from './append-types.ts'
import { logAppend } from './log-append.ts'
import { secretWriteStates } from './write-states.ts'

const policy = [
  `alter table log_head add column policy_revision bigint not null default 1, add column secret_changes bigint not null default 0`,
  `update log_head set policy_revision = revision`,
  // A change that does not count itself as one of secrets is one of policy. Servers of the previous version count none.
  `create function log_head_policy() returns trigger language plpgsql as $$
   begin
     if new.revision <> old.revision and new.secret_changes = old.secret_changes then
       new.policy_revision := new.revision;
     end if;
     return new;
   end $$`,
  `create trigger log_head_policy before update of revision on log_head for each row execute function log_head_policy()`,
]

const indexes = [
  // One index for equality, uniqueness and the order of lists, which go by bytes, whatever the collation of the database.
  // Only creates of the previous version look removed paths up by their names.
  `drop index secret_live_path`,
  `drop index secret_path`,
  `create unique index secret_live_path on secret (path text_pattern_ops) where deleted_at is null`,
  // A name that was typed by mistake may be a password, so look-ups send its hash: PostgreSQL can log what it is sent.
  // The planner knows of a unique index that it finds one row, also without statistics.
  `create unique index secret_live_path_hash on secret (sha256(decode(path, 'escape'))) where deleted_at is null`,
  `create index secret_removed_path_hash on secret (sha256(decode(path, 'escape'))) where deleted_at is not null`,
  // Most versions never expire.
  `drop index secret_version_expires_at`,
  `create index secret_version_expires_at on secret_version (expires_at)
     where destroyed_at is null and expires_at is not null`,
  // The append asks for the other versions of a holder and secret; each index of both columns finds only those.
  `drop index secret_consumer_holder`,
  `create index secret_consumer_holder on secret_consumer (holder, secret_id)`,
  `create index block_key on block (key_id, until) where kind = 'serialNumber'`,
]

export const stateMigration = {
  name: '007-state',
  async up(knex: Knex): Promise<void> {
    for (const statement of [...policy, ...indexes, ...appendTypes, secretWriteStates]) await knex.raw(statement)
    // The fifth argument has a default, so servers of the previous version call the new function.
    await knex.raw('drop function if exists log_append(uuid, int, json, text[])')
    await knex.raw(logAppend)
  },
}
