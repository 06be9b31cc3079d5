/** Checks that the server's database role has the privileges it needs, and no more. */
import type { Knex } from '../../store/database.ts'
import { readPostgresFacts } from '../../store/postgres-facts.ts'
import { type Lacking, lackingPrivileges } from '../../store/privileges.ts'
import { type Finding, collectOr, fail, ok, some, warn } from './finding.ts'

const check = 'role'

const verbs = { select: 'read', insert: 'insert into', update: 'update', delete: 'delete from' } as const

export async function checkRole(knex: Knex): Promise<Finding[]> {
  const { role, superuser, ownsLog } = await readPostgresFacts(knex)
  const lacking = (await lackingPrivileges(knex)).map((privilege) => toFinding(role, privilege))
  const sound = ok(check, `${role} has the privileges it needs, and does not own the log`)
  return collectOr(sound, lacking, excessive({ role, superuser, ownsLog }))
}

function toFinding(role: string, { privilege, tables }: Lacking): Finding {
  return fail(check, `role ${role} may not ${verbs[privilege]} ${some(tables)}`, {
    why: 'the server needs this privilege, and issues nothing without an entry in the log',
    do: `as the schema's owner: grant ${privilege} on ${tables.join(', ')} to "${role.replaceAll('"', '""')}"`,
  })
}

/** An owner can disable the triggers that protect the log. */
function excessive({ role, superuser, ownsLog }: { role: string; superuser: boolean; ownsLog: boolean }) {
  if (!superuser && !ownsLog) return undefined
  return warn(check, superuser ? `role ${role} is a superuser` : `role ${role} owns the log's tables`, {
    why: 'an attacker on a replica could disable the triggers that protect the log',
    do: 'let another role own the schema (PURSER_MIGRATE_DATABASE_URL), and grant this one select, insert, update and delete',
  })
}
