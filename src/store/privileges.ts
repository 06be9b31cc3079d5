/** What a server's role must be able to do with each table, and what the database says that it can't. */
import type { Knex } from 'knex'

type Privilege = 'select' | 'insert' | 'update' | 'delete'

/** What serving takes. Making and changing tables is `purser migrate`'s, as their owner. */
export const neededPrivileges: Record<string, readonly Privilege[]> = {
  log_entry: ['select', 'insert', 'update'],
  log_head: ['select', 'insert', 'update'],
  log_epoch: ['select', 'insert'],
  log_tile: ['select', 'insert'],
  log_redaction: ['select', 'insert'],
  lost_batch: ['select', 'insert', 'delete'],
  claim: ['select', 'insert', 'delete'],
  session: ['select', 'insert', 'update', 'delete'],
  access_token: ['select', 'insert', 'update', 'delete'],
  attestor: ['select', 'insert', 'update'],
  workload: ['select', 'insert', 'update'],
  account_pin: ['select', 'insert', 'update'],
  block: ['select', 'insert', 'update', 'delete'],
  api_token: ['select', 'insert', 'update', 'delete'],
  keyring_key: ['select', 'insert', 'update'],
  signing_key: ['select', 'insert', 'update'],
  bootstrap_token: ['select', 'insert', 'update', 'delete'],
  join_token: ['select', 'insert', 'update', 'delete'],
  idempotency: ['select', 'insert', 'update', 'delete'],
  tries: ['select', 'insert', 'update'],
  job_state: ['select', 'insert', 'update'],
  secret: ['select', 'insert', 'update'],
  secret_version: ['select', 'insert', 'update'],
  secret_consumer: ['select', 'insert', 'update', 'delete'],
  rotation_policy: ['select', 'insert', 'update', 'delete'],
  rotation: ['select', 'insert', 'update'],
  database: ['select', 'insert', 'update'],
  lease: ['select', 'insert', 'update', 'delete'],
  // update: FOR UPDATE takes it.
  lease_renewal: ['select', 'insert', 'update', 'delete'],
  schema_migration: ['select'],
  // Of `purser migrate` alone.
  schema_migration_lock: [],
  schema_info: ['select'],
}

/** The tables that the role may not use in this way. */
export type Lacking = { privilege: Privilege; tables: string[] }

/** Tables that are not there yet are left out: that is another finding. */
export async function lackingPrivileges(knex: Knex): Promise<Lacking[]> {
  const wanted = Object.entries(neededPrivileges).flatMap(([table, list]) =>
    list.map((privilege) => ({ table, privilege })),
  )
  const { rows } = await knex.raw<{ rows: { name: string; privilege: Privilege }[] }>(
    `select w.name, w.privilege from unnest(?::text[], ?::text[]) with ordinality as w (name, privilege, n)
      where to_regclass(w.name) is not null and not has_table_privilege(to_regclass(w.name), w.privilege) order by w.n`,
    [wanted.map(({ table }) => table), wanted.map(({ privilege }) => privilege)],
  )
  const lacking: Lacking[] = []
  for (const { name, privilege } of rows) {
    const known = lacking.find((one) => one.privilege === privilege)
    if (known) known.tables.push(name)
    else lacking.push({ privilege, tables: [name] })
  }
  return lacking
}
