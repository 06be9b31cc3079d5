/**
 * Secrets, their versions and consumers; rotations; databases and their leases. Each value is encrypted by its own data
 * key, which the keyring wraps (src/keys/data-keys.ts).
 */
import type { Knex } from 'knex'

const secrets = [
  // A removed secret stays as a row without values. A new secret of its path continues its version numbers, so that a path
  // and a version always name one value.
  `create table secret (
     id text primary key, path text not null, version int not null, revision int not null, description text,
     labels jsonb not null default '{}', max_versions int not null, managed_by text, rotator text,
     created_at timestamptz not null, updated_at timestamptz not null, changed bigint not null default 0,
     deleted_at timestamptz)`,
  `create unique index secret_live_path on secret (path) where deleted_at is null`,
  `create index secret_path on secret (path)`,
  `create index secret_changed on secret (changed)`,
  // Destruction removes ciphertext and data key. A staged version belongs to a rotation that has not made it current yet.
  `create table secret_version (
     secret_id text not null references secret (id), version int not null, wrapping_key_id text references keyring_key (id),
     data_key bytea, ciphertext bytea, staged boolean not null default false, source text not null, created_by text not null,
     created_at timestamptz not null, expires_at timestamptz, deleted_at timestamptz, retired_at timestamptz,
     destroyed_at timestamptz, primary key (secret_id, version))`,
  `create index secret_version_wrapping_key on secret_version (wrapping_key_id)`,
  `create index secret_version_expires_at on secret_version (expires_at) where destroyed_at is null`,
  // holder: the id of a session, or 'operator:<name>'.
  `create table secret_consumer (
     secret_id text not null, version int not null, holder text not null, fetched_at timestamptz not null,
     acked_at timestamptz, primary key (secret_id, holder, version))`,
  `create index secret_consumer_holder on secret_consumer (holder)`,
]

const rotations = [
  `create table rotation_policy (
     secret_id text primary key references secret (id), definition jsonb not null, revision int not null,
     next_at timestamptz, updated_at timestamptz not null)`,
  `create index rotation_policy_next_at on rotation_policy (next_at)`,
  // A secret has at most one running rotation. locked_until: a replica works on it until then.
  `create table rotation (
     id text primary key, secret_id text not null references secret (id), state text not null, rotator text not null,
     from_version int not null, to_version int, definition jsonb not null, excused jsonb not null default '[]',
     requested_by text not null, attempts int not null default 0, last_error text, next_attempt_at timestamptz,
     locked_until timestamptz, deadline_at timestamptz, started_at timestamptz not null, updated_at timestamptz not null,
     ended_at timestamptz)`,
  `create unique index rotation_running on rotation (secret_id) where ended_at is null`,
  `create index rotation_secret on rotation (secret_id, started_at)`,
]

const databases = [
  // The administrative credential is sealed like a value of a secret. The staged next one is stored beside it.
  `create table database (
     id text primary key, name text not null, kind text not null, definition jsonb not null, revision int not null,
     wrapping_key_id text references keyring_key (id), data_key bytea, ciphertext bytea,
     next_wrapping_key_id text references keyring_key (id), next_data_key bytea, next_ciphertext bytea,
     created_at timestamptz not null, changed bigint not null default 0, deleted_at timestamptz)`,
  `create unique index database_name on database (name) where deleted_at is null`,
  `create index database_changed on database (changed)`,
  // intended (before its role is created) → active (with its entry) → revoking → revoked.
  `create table lease (
     id text primary key, database_id text not null references database (id), session_id text, workload_id text,
     spiffe_id text, username text not null unique, state text not null, created_at timestamptz not null,
     expires_at timestamptz not null, max_expires_at timestamptz not null, reason text, attempts int not null default 0,
     last_error text, next_attempt_at timestamptz, locked_until timestamptz, ended_at timestamptz)`,
  // With these indexes, jobs and lists read only the leases that they return, not all open ones (test/store/lease-plans.test.ts).
  // One index for each state: otherwise statistics of a quiet time can lead to a bad plan for revoking leases.
  `create index lease_intended on lease (id) where state = 'intended'`,
  `create index lease_held on lease (id) where state = 'active'`,
  `create index lease_revoked on lease (id) where state = 'revoked'`,
  `create index lease_ending on lease (id) where state = 'revoking'`,
  `create index lease_abandoned on lease (id) where state = 'abandoned'`,
  `create index lease_active on lease (expires_at) where state = 'active'`,
  `create index lease_revoking on lease (next_attempt_at) where state = 'revoking'`,
  `create index lease_open on lease (database_id) where ended_at is null`,
  `create index lease_ended_at on lease (ended_at) where ended_at is not null`,
  `create index lease_database on lease (database_id, id)`,
  `create index lease_workload on lease (workload_id, id) where state = 'active'`,
  `create index lease_session on lease (session_id, id)`,
  `create index session_ended_at on session (ended_at) where ended_at is not null`,
  // Renewals between their two entries, by the ids of their requests.
  `create table lease_renewal (
     id text primary key, lease_id text not null references lease (id) on delete cascade, begun_at timestamptz not null)`,
]

export const secretsMigration = {
  name: '002-secrets',
  async up(knex: Knex): Promise<void> {
    for (const statement of [...secrets, ...rotations, ...databases]) await knex.raw(statement)
  },
}
