/**
 * Bounds of operators and API tokens, and for each workload entry the bound of the operator who wrote it. Null is
 * everything, as it was before.
 */
import type { Knex } from 'knex'

export const boundsMigration = {
  name: '011-bounds',
  async up(knex: Knex): Promise<void> {
    for (const table of ['operator', 'api_token', 'workload']) {
      await knex.raw(`alter table ${table} add column bound jsonb`)
    }
  },
}
