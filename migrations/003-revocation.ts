/**
 * Blocks that last until they are released. The key of an instance consists of its attestor and immutable ids. In earlier
 * rows it also includes the workload entry: `session.entry_keyed` marks such sessions, `block.workload_id` names the entry.
 */
import type { Knex } from 'knex'

const columns = [
  // During an upgrade, servers of the previous version do not write this column: the keys of their rows include the entry.
  `alter table session add column entry_keyed boolean not null default true`,
  // session_id: the session whose revocation blocked the instance.
  `alter table block add column session_id text, add column workload_id text`,
]

/** Present blocks of instances last until they are released. The new revision makes every replica read these rows. */
const carriedOver = [
  `update log_head set revision = revision + 1 where id = 1`,
  `update block set until = '9999-12-31T00:00:00Z', session_id = s.id, workload_id = s.workload_id, changed = h.revision
     from log_head h, (select distinct on (instance) instance, id, workload_id from session order by instance, started_at desc) s
    where block.kind = 'instance' and block.until > now() and encode(s.instance, 'hex') = block.value`,
]

export const revocation = {
  name: '003-revocation',
  async up(knex: Knex): Promise<void> {
    for (const statement of [...columns, ...carriedOver]) await knex.raw(statement)
  },
}
