/** The triggers with which the database refuses changes of the log (migrations/001-foundation.ts). */
import type { Knex } from 'knex'

const guards: readonly (readonly [table: string, trigger: string])[] = [
  ['log_entry', 'log_entry_update'],
  ['log_entry', 'log_entry_delete'],
  ['log_entry', 'log_entry_truncate'],
  ['log_tile', 'log_tile_change'],
  ['log_tile', 'log_tile_truncate'],
  ['log_epoch', 'log_epoch_change'],
  ['log_epoch', 'log_epoch_truncate'],
  ['log_redaction', 'log_redaction_change'],
  ['log_redaction', 'log_redaction_truncate'],
  ['log_redaction', 'log_redaction_recorded'],
]

export type GuardFault = { table: string; trigger: string; fault: 'missing' | 'disabled' }

/** The triggers that are not in force. In force are `O` (all sessions but replication) and `A` (all sessions). */
export async function brokenGuards(knex: Knex): Promise<GuardFault[]> {
  const tables = [...new Set(guards.map(([table]) => table))]
  const { rows } = await knex.raw<{ rows: { table: string; trigger: string; enabled: string }[] }>(
    `select n.name as table, t.tgname::text as trigger, t.tgenabled::text as enabled
       from unnest(?::text[]) as n (name) join pg_trigger t on t.tgrelid = to_regclass(n.name) and not t.tgisinternal`,
    [tables],
  )
  const states = new Map(rows.map((row) => [`${row.table} ${row.trigger}`, row.enabled]))
  return guards.flatMap(([table, trigger]): GuardFault[] => {
    const enabled = states.get(`${table} ${trigger}`)
    if (enabled === undefined) return [{ table, trigger, fault: 'missing' }]
    return enabled === 'O' || enabled === 'A' ? [] : [{ table, trigger, fault: 'disabled' }]
  })
}
