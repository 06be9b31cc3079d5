/**
 * Approvals of requests by a second operator. The use of one is a row of `claim` with its `use_key`, so that each is used
 * once, in changes and in the group commit alike.
 *
 * Servers of the previous version require no approval.
 */
import type { Knex } from 'knex'

const statements = [
  // request: canonical JSON (RFC 8785). A decision leaves both texts as they are; ended_at withdraws what is not used yet.
  `create table approval (
     id text primary key, operator_id text not null, operator text not null, token_id text not null, action text not null,
     permission text not null, request text not null, reason text not null, created_at timestamptz not null,
     expires_at timestamptz not null, use_key bytea not null, decision text, decided_at timestamptz, decided_by text,
     decided_by_id text, decided_token_id text, decision_reason text, ended_at timestamptz)`,
  `create index approval_created_at on approval (created_at, id)`,
  `create index approval_expires_at on approval (expires_at)`,
]

export const approvalsMigration = {
  name: '014-approvals',
  async up(knex: Knex): Promise<void> {
    for (const statement of statements) await knex.raw(statement)
  },
}
