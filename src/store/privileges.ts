/** The privileges on tables that a server's role needs, and a check of which ones it lacks. */
import type { Knex } from 'knex'

type Privilege = 'select' | 'insert' | 'update' | 'delete'

/** The privileges for serving. `purser migrate` creates and changes tables as their owner. */
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
  containment: ['select', 'insert', 'update'],
  containment_item: ['select', 'insert', 'update'],
  api_token: ['select', 'insert', 'update', 'delete'],
  operator: ['select', 'insert', 'update'],
  operator_password: ['select', 'insert', 'update', 'delete'],
  operator_identity: ['select', 'insert'],
  operator_address: ['select', 'insert', 'update', 'delete'],
  operator_totp: ['select', 'insert', 'update', 'delete'],
  operator_recovery_code: ['select', 'insert', 'update', 'delete'],
  operator_passkey: ['select', 'insert', 'update', 'delete'],
  approval: ['select', 'insert', 'update', 'delete'],
  keyring_key: ['select', 'insert', 'update'],
  signing_key: ['select', 'insert', 'update'],
  bootstrap_token: ['select', 'insert', 'update', 'delete'],
  join_token: ['select', 'insert', 'update', 'delete'],
  idempotency: ['select', 'insert', 'update', 'delete'],
  tries: ['select', 'insert', 'update', 'delete'],
  job_state: ['select', 'insert', 'update'],
  secret: ['select', 'insert', 'update'],
  secret_version: ['select', 'insert', 'update'],
  secret_consumer: ['select', 'insert', 'update', 'delete'],
  rotation_policy: ['select', 'insert', 'update', 'delete'],
  rotation: ['select', 'insert', 'update'],
  database: ['select', 'insert', 'update'],
  lease: ['select', 'insert', 'update', 'delete'],
  // FOR UPDATE needs the privilege update.
  lease_renewal: ['select', 'insert', 'update', 'delete'],
  schema_migration: ['select'],
  // Only `purser migrate` uses it.
  schema_migration_lock: [],
  schema_info: ['select'],
}

/** A privilege, and the tables on which the role lacks it. */
export type Lacking = { privilege: Privilege; tables: string[] }

/** Leaves out missing tables, which are a separate finding. */
export async function lackingPrivileges(knex: Knex): Promise<Lacking[]> {
  const needed = Object.entries(neededPrivileges).flatMap(([table, list]) =>
    list.map((privilege) => ({ table, privilege })),
  )
  const { rows } = await knex.raw<{ rows: { name: string; privilege: Privilege }[] }>(
    `select w.name, w.privilege from unnest(?::text[], ?::text[]) with ordinality as w (name, privilege, n)
      where to_regclass(w.name) is not null and not has_table_privilege(to_regclass(w.name), w.privilege) order by w.n`,
    [needed.map(({ table }) => table), needed.map(({ privilege }) => privilege)],
  )
  const lacking: Lacking[] = []
  for (const { name, privilege } of rows) {
    const entry = lacking.find((other) => other.privilege === privilege)
    if (entry) entry.tables.push(name)
    else lacking.push({ privilege, tables: [name] })
  }
  return lacking
}
