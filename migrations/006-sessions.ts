/**
 * Sessions with changing facts: `facts` counts the changes, so that decisions under older facts are repeated. The append
 * lets a repeated claim release only what is bound to its key.
 */
import type { Knex } from 'knex'

export const sessionsMigration = {
  name: '006-sessions',
  async up(knex: Knex): Promise<void> {
    await knex.raw(`alter table session add column facts int not null default 0`)
  },
}
