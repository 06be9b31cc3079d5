/**
 * Which source under version control keeps an operator.
 *
 * Servers of the previous version ignore the column; a replacement there keeps it.
 */
import type { Knex } from 'knex'

export const managedOperatorsMigration = {
  name: '015-managed-operators',
  async up(knex: Knex): Promise<void> {
    await knex.raw(`alter table operator add column managed_by text`)
  },
}
