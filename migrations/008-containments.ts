/**
 * Containments: what was blocked, how far the work is, and what was found. Blocks of attestors and of selectors name the
 * attestor and the selectors; `value` is then the id of the attestor, or a hash.
 */
import type { Knex } from 'knex'

const tables = [
  `alter table block add column attestor_id text, add column selectors jsonb`,
  `create table containment (
     id text primary key, match jsonb not null, subject jsonb not null, since timestamptz, rotate boolean not null,
     requested_by text not null, request_id text not null, created_at timestamptz not null, epoch int, cut bigint, blocks text,
     reachable jsonb not null, state text not null, reached jsonb, locked_until timestamptz, completed_at timestamptz,
     released_at timestamptz, released_by text)`,
  `create index containment_open on containment (created_at) where completed_at is null`,
  `create index containment_created_at on containment (created_at)`,
  // name: of a credential, session or resource; for a read the path and the version of a secret, for a secret its path.
  `create table containment_item (
     containment text not null references containment (id), kind text not null, name text not null,
     until timestamptz, detail jsonb not null default '{}', primary key (containment, kind, name))`,
]

export const containmentsMigration = {
  name: '008-containments',
  async up(knex: Knex): Promise<void> {
    for (const statement of tables) await knex.raw(statement)
  },
}
