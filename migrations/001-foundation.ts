/**
 * The log, sessions and tokens, registrations, and their tables. Each `raw` has one statement, the same on Postgres and
 * PGlite. Tables of the snapshot have the column `changed`: the revision of the head row at their last change.
 */
import type { Knex } from 'knex'

const log = [
  // One row: its lock orders all appends, and its revision orders all decisions.
  `create table log_head (
     id smallint primary key default 1 check (id = 1),
     instance_id uuid not null,
     trust_domain text not null,
     issuer text not null,
     epoch int not null,
     size bigint not null default 0,
     revision bigint not null default 1,
     issuing boolean not null default true)`,
  `create table log_epoch (
     epoch int primary key,
     origin text not null unique,
     reason text not null,
     started_at timestamptz not null,
     -- the signed head that the epoch before ended with
     previous_note text)`,
  // leaf is the commitment HMAC-SHA-256(nonce, body). A redaction may remove body and nonce, but never leaf.
  `create table log_entry (
     epoch int not null,
     idx bigint not null,
     leaf bytea not null check (length(leaf) = 32),
     nonce bytea check (length(nonce) = 32),
     body text,
     batch uuid not null,
     at timestamptz not null,
     terms bigint[] not null,
     primary key (epoch, idx))`,
  // terms holds keys of store/term-keys.ts. The pending list is small because an append that fills it merges it under the
  // head lock. Measured with 64 entries a batch: 57 µs an entry (37 without the index) and 20 to 30 ms a merge. With the
  // default of 4 MB a merge took 200 ms; without a pending list an entry took 84 µs.
  `create index log_entry_terms on log_entry using gin (terms) with (gin_pending_list_limit = 256)`,
  `create index log_entry_at on log_entry using brin (at)`,
  `create table log_tile (
     epoch int not null, level int not null, idx bigint not null, hashes bytea not null check (length(hashes) = 8192),
     primary key (epoch, level, idx))`,
  // Batches that were given up: a late one is refused.
  `create table lost_batch (id uuid primary key, at timestamptz not null default clock_timestamp())`,
  // entry_epoch and entry_idx: the position of the entry `log.redact`, which itself can't be redacted.
  `create table log_redaction (
     id uuid primary key, epoch int not null, from_idx bigint not null, to_idx bigint not null,
     entry_epoch int not null, entry_idx bigint not null, tx bigint not null default (txid_current()))`,
]

const frozen = [
  // The log allows one change: body and nonce to null, covered by a redaction of the same transaction.
  `create function log_refuse() returns trigger language plpgsql as $$
   begin raise exception 'the log is append-only (% on %)', tg_op, tg_table_name using errcode = '42501'; end $$`,
  `create function log_entry_update() returns trigger language plpgsql as $$
   begin
     if new.body is null and new.nonce is null and new.terms = '{}'
        and (new.epoch, new.idx, new.leaf, new.batch, new.at) = (old.epoch, old.idx, old.leaf, old.batch, old.at)
        and old.idx > 0
        and (old.body::json ->> 'action' <> 'log.redact' or old.body::json ->> 'outcome' <> 'granted')
        and exists (select 1 from log_redaction r where r.tx = txid_current()
                    and r.epoch = old.epoch and old.idx >= r.from_idx and old.idx < r.to_idx)
     then return new; end if;
     raise exception 'the log is append-only (UPDATE on log_entry %/%)', old.epoch, old.idx using errcode = '42501';
   end $$`,
  // Checked when the transaction ends: it inserts the redaction's row first and its entry last.
  `create function log_redaction_recorded() returns trigger language plpgsql as $$
   begin
     if not exists (select 1 from log_entry e where e.epoch = new.entry_epoch and e.idx = new.entry_idx
                    and e.body::json ->> 'action' = 'log.redact' and e.body::json ->> 'outcome' = 'granted'
                    and (e.body::json #>> '{detail,epoch}')::int = new.epoch
                    and (e.body::json #>> '{detail,from}')::bigint <= new.from_idx
                    and (e.body::json #>> '{detail,to}')::bigint >= new.to_idx)
     then raise exception 'a redaction needs its entry in the log' using errcode = '42501'; end if;
     return null;
   end $$`,
  `create constraint trigger log_redaction_recorded after insert on log_redaction
     deferrable initially deferred for each row execute function log_redaction_recorded()`,
  `create trigger log_entry_update before update on log_entry for each row execute function log_entry_update()`,
  `create trigger log_entry_delete before delete on log_entry for each row execute function log_refuse()`,
  ...['log_entry', 'log_tile', 'log_epoch', 'log_redaction'].map(
    (table) => `create trigger ${table}_truncate before truncate on ${table} execute function log_refuse()`,
  ),
  ...['log_tile', 'log_epoch', 'log_redaction'].map(
    (table) =>
      `create trigger ${table}_change before update or delete on ${table} for each row execute function log_refuse()`,
  ),
]

const issued = [
  // Single uses: a proof of a single-use attestor, the renewal by a certificate.
  `create table claim (key bytea primary key, holder bytea not null, claimed_at timestamptz not null, until timestamptz not null)`,
  `create index claim_until on claim (until)`,
  `create table session (
     id text primary key, instance bytea not null, generation int not null,
     workload_id text not null, attestor_id text not null, spiffe_id text not null, selectors jsonb not null,
     account text, started_at timestamptz not null, expires_at timestamptz not null,
     ended_at timestamptz, end_reason text)`,
  // An instance has successive sessions for each of its SPIFFE IDs.
  `create index session_instance on session (instance, generation)`,
  `create index session_account on session (attestor_id, account) where ended_at is null`,
  `create index session_spiffe_id on session (spiffe_id)`,
  // For the sweep. An index on expires_at would slow down renewals, which change it.
  `create index session_started_at on session using brin (started_at)`,
  `create table access_token (
     id text primary key, hash bytea not null unique, session_id text not null, expires_at timestamptz not null,
     revoked_at timestamptz)`,
  `create index access_token_expires_at on access_token using brin (expires_at)`,
]

const registrations = [
  `create table attestor (
     id text primary key, name text not null, kind text not null, issuer text, audience text,
     spiffe_id_prefix text not null, definition jsonb not null, revision int not null, changed bigint not null default 0,
     deleted_at timestamptz)`,
  `create unique index attestor_name on attestor (name) where deleted_at is null`,
  `create unique index attestor_proof on attestor (issuer, audience) where deleted_at is null and issuer is not null`,
  `create table workload (
     id text primary key, name text not null, attestor_id text not null references attestor (id),
     definition jsonb not null, disabled boolean not null default false, revision int not null,
     changed bigint not null default 0, deleted_at timestamptz)`,
  `create unique index workload_name on workload (name) where deleted_at is null`,
  `create table account_pin (
     attestor_id text not null, account text not null, uid text not null, first_seen timestamptz not null,
     superseded_at timestamptz, changed bigint not null default 0, primary key (attestor_id, account, uid))`,
  `create table block (
     id text primary key, kind text not null, value text not null, key_id text, reason text, at timestamptz not null,
     until timestamptz not null, revocation text, changed bigint not null default 0, unique (kind, value))`,
  `create index block_revocation on block (revocation)`,
  `create index block_until on block (until)`,
  `create table api_token (
     id text primary key, hash bytea not null unique, operator text not null, role text not null,
     created_at timestamptz not null, expires_at timestamptz not null, first_used_at timestamptz,
     revoked_at timestamptz, changed bigint not null default 0)`,
  `create table keyring_key (id text primary key, wrapped bytea not null, root_key_id text not null, created_at timestamptz not null)`,
  `create table signing_key (
     id text primary key, kind text not null, algorithm text not null, public_key bytea not null, wrapped bytea not null,
     wrapping_key_id text not null references keyring_key (id), issuer_key_id text, chain text,
     created_at timestamptz not null, active_at timestamptz not null, retire_at timestamptz not null,
     gone_at timestamptz not null, withdrawn_at timestamptz, epoch int, from_size bigint, to_size bigint,
     changed bigint not null default 0)`,
  ...['attestor', 'workload', 'account_pin', 'block', 'api_token', 'signing_key'].map(
    (table) => `create index ${table}_changed on ${table} (changed)`,
  ),
]

const doors = [
  `create table bootstrap_token (
     id text primary key, hash bytea not null unique, created_at timestamptz not null, expires_at timestamptz not null,
     api_token_id text, dead_at timestamptz)`,
  `create table join_token (
     id text primary key, hash bytea not null unique, workload_id text not null, uses_left int not null check (uses_left >= 0),
     created_at timestamptz not null, expires_at timestamptz not null)`,
  `create table idempotency (
     key bytea primary key, request bytea not null, status int not null, resource_id text, log_epoch int not null,
     log_idx bigint not null, showed_once boolean not null, until timestamptz not null)`,
  `create index idempotency_until on idempotency (until)`,
  // Failed attempts at an endpoint that accepts secrets: one row for each endpoint.
  `create table tries (door text primary key, tries int not null, since timestamptz not null)`,
  // The progress of a background job, for the replica that runs it next.
  `create table job_state (name text primary key, state jsonb not null)`,
]

export const foundation = {
  name: '001-foundation',
  async up(knex: Knex): Promise<void> {
    for (const statement of [...log, ...frozen, ...issued, ...registrations, ...doors]) await knex.raw(statement)
  },
}
