/**
 * Blocks that last until they are released. An instance is keyed by its attestor and immutable ids. Rows from before
 * are keyed by the workload entry too: `session.entry_keyed` marks such sessions, `block.workload_id` names the entry.
 */
import type { Knex } from 'knex'
import { logAppend } from './log-append.ts'

const columns = [
  // A server of the version before writes no such column while replicas are replaced: its rows are keyed by the entry.
  `alter table session add column entry_keyed boolean not null default true`,
  // session_id: the session that a block of an instance was made with.
  `alter table block add column session_id text, add column workload_id text`,
]

/** An instance that is blocked now stays so until it is released. The revision makes every replica read these rows. */
const carriedOver = [
  `update log_head set revision = revision + 1 where id = 1`,
  `update block set until = '9999-12-31T00:00:00Z', session_id = s.id, workload_id = s.workload_id, changed = h.revision
     from log_head h, (select distinct on (instance) instance, id, workload_id from session order by instance, started_at desc) s
    where block.kind = 'instance' and block.until > now() and encode(s.instance, 'hex') = block.value`,
]

export const revocation = {
  name: '003-revocation',
  async up(knex: Knex): Promise<void> {
    for (const statement of [...columns, ...carriedOver, logAppend]) await knex.raw(statement)
  },
}
