/**
 * Operators as named accounts. An API token allows what its own role, the present role of its operator and its routes allow.
 *
 * Servers of the previous version know no operators and obey `api_token.role` alone. For tokens whose rights they cannot
 * judge, `role` is therefore `none`, and `own_role` has the role of the token; it is null where the previous version wrote
 * the row.
 */
import type { Knex } from 'knex'

const operators = [
  `create table operator (
     id text primary key, name text not null, role text not null, disabled boolean not null default false,
     revision int not null, created_at timestamptz not null, updated_at timestamptz not null,
     changed bigint not null default 0, deleted_at timestamptz)`,
  `create unique index operator_name on operator (name) where deleted_at is null`,
  `create index operator_changed on operator (changed)`,
]

const tokens = [
  `alter table api_token add column own_role text, add column routes jsonb, add column description text,
     add column last_used_at timestamptz`,
  // A token without an operator is refused, so the exchange of a bootstrap token by a server of the previous version
  // creates the operator too. The stamp is that of the change which inserts the token.
  `create function api_token_operator() returns trigger language plpgsql as $$
   begin
     insert into operator (id, name, role, revision, created_at, updated_at, changed)
     select 'op_' || replace(gen_random_uuid()::text, '-', ''), new.operator, new.role, 1, new.created_at,
            new.created_at, h.revision + 1
       from log_head h
         on conflict (name) where deleted_at is null do nothing;
     return new;
   end $$`,
  `create trigger api_token_operator before insert on api_token for each row when (new.own_role is null)
     execute function api_token_operator()`,
]

/** The operators of present tokens, with the role of their newest token. */
const carriedOver = `
  insert into operator (id, name, role, revision, created_at, updated_at)
  select 'op_' || replace(gen_random_uuid()::text, '-', ''), t.operator, t.role, 1, t.first_at, t.first_at
    from (select distinct on (operator) operator, role, min(created_at) over (partition by operator) as first_at
            from api_token order by operator, created_at desc) t`

export const operatorsMigration = {
  name: '009-operators',
  async up(knex: Knex): Promise<void> {
    for (const statement of [...operators, ...tokens, carriedOver]) await knex.raw(statement)
  },
}
