/**
 * Passkeys of operators (WebAuthn), and login sessions that end when they are idle.
 *
 * Servers of the previous version know no passkeys. They accept an idle session until a server of this version ends it.
 */
import type { Knex } from 'knex'

const statements = [
  // The public key is a COSE key (RFC 9052 section 7).
  `create table operator_passkey (
     id text primary key, operator_id text not null, credential_id bytea not null unique, public_key bytea not null,
     counter bigint not null, label text not null, created_at timestamptz not null, last_used_at timestamptz)`,
  `create index operator_passkey_operator on operator_passkey (operator_id)`,
  // The number of its passkeys. Null: none.
  `alter table operator add column passkeys int`,
  // Null: the session lasts until its end.
  `alter table api_token add column idle_seconds int`,
]

export const passkeysMigration = {
  name: '016-passkeys',
  async up(knex: Knex): Promise<void> {
    for (const statement of statements) await knex.raw(statement)
  },
}
