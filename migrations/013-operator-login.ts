/**
 * Logins of operators at an OpenID provider.
 *
 * Servers of the previous version accept such a session as the API token that it is, also once its mapping is gone.
 */
import type { Knex } from 'knex'

const statements = [
  // The provider and the mapping that gave the session its role. Null: another login, or no session.
  `alter table api_token add column login_by text`,
  // The person behind an operator, as the provider identifies it since the first login.
  `create table operator_identity (
     operator_id text primary key, issuer text not null, subject text not null, since timestamptz not null)`,
]

export const operatorLoginMigration = {
  name: '013-operator-login',
  async up(knex: Knex): Promise<void> {
    for (const statement of statements) await knex.raw(statement)
  },
}
