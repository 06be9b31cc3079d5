/**
 * Passwords and second factors of operators, and login sessions: API tokens that a login created.
 *
 * Servers of the previous version accept a login session as the API token that it is. They know no passwords.
 */
import type { Knex } from 'knex'

const statements = [
  `alter table api_token add column login boolean not null default false`,
  // Null: no password. The hash is not in the snapshot.
  `alter table operator add column password_at timestamptz, add column second_factor_at timestamptz`,
  `create table operator_password (
     operator_id text primary key, hash text not null, changed_at timestamptz not null)`,
  // The address prefixes of past logins. Attempts from them have a limit of their own.
  `create table operator_address (
     operator_id text not null, prefix text not null, last_at timestamptz not null, primary key (operator_id, prefix))`,
  // The codes of last_step and of every earlier step are used up.
  `create table operator_totp (
     operator_id text primary key, id text not null unique, wrapping_key_id text not null, data_key bytea not null,
     ciphertext bytea not null, created_at timestamptz not null, confirmed_at timestamptz, last_step bigint not null)`,
  `create table operator_recovery_code (
     operator_id text not null, hash bytea not null, used_at timestamptz, primary key (operator_id, hash))`,
]

export const loginMigration = {
  name: '010-login',
  async up(knex: Knex): Promise<void> {
    for (const statement of statements) await knex.raw(statement)
  },
}
