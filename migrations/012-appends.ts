/** The append returns the commitments that the caller's tree lacks. */
import type { Knex } from 'knex'
import { logAppend } from './log-append.ts'

export const appendsMigration = {
  name: '012-appends',
  async up(knex: Knex): Promise<void> {
    // The sixth argument has a default, so servers of the previous version call the new function.
    await knex.raw('drop function if exists log_append(uuid, int, json, text[], json)')
    await knex.raw(logAppend)
  },
}
