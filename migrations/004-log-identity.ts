/** What closes the log for every replica: `closed_reason` is set where a replica knows that the database was put back. */
import type { Knex } from 'knex'
import { logAppend } from './log-append.ts'

const columns = [`alter table log_head add column closed_reason text, add column closed_at timestamptz`]

export const logIdentity = {
  name: '004-log-identity',
  async up(knex: Knex): Promise<void> {
    for (const statement of [...columns, logAppend]) await knex.raw(statement)
  },
}
