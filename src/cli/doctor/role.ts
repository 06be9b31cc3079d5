/** What the server's role may do with the database: all that it needs, and not more. */
import type { Knex } from '../../store/database.ts'
import { readPostgresFacts } from '../../store/postgres-facts.ts'
import { type Lacking, lackingPrivileges } from '../../store/privileges.ts'
import { type Finding, fail, ok, some, warn } from './finding.ts'

const check = 'role'

const verbs = { select: 'read', insert: 'insert into', update: 'update', delete: 'delete from' } as const

export async function lookAtRole(knex: Knex): Promise<Finding[]> {
  const { role, superuser, ownsLog } = await readPostgresFacts(knex)
  const lacking = (await lackingPrivileges(knex)).map((privilege) => toFinding(role, privilege))
  const findings = [...lacking, ...tooMuch({ role, superuser, ownsLog })]
  return findings.length > 0 ? findings : [ok(check, `${role} may do what serving takes, and does not own the log`)]
}

function toFinding(role: string, { privilege, tables }: Lacking): Finding {
  return fail(check, `role ${role} may not ${verbs[privilege]} ${some(tables)}`, {
    why: 'what the server does with it fails; without an entry in the log nothing is issued',
    do: `as the schema's owner: grant ${privilege} on ${tables.join(', ')} to "${role.replaceAll('"', '""')}"`,
  })
}

/** An owner can switch off the triggers that refuse changes to the log. */
function tooMuch({ role, superuser, ownsLog }: { role: string; superuser: boolean; ownsLog: boolean }): Finding[] {
  if (!superuser && !ownsLog) return []
  const what = superuser ? `role ${role} is a superuser` : `role ${role} owns the log's tables`
  return [
    warn(check, what, {
      why: 'who takes over a replica could switch off the triggers that keep the log from being changed',
      do: 'let another role own the schema (PURSER_MIGRATE_DATABASE_URL) and grant this one select, insert, update, delete on it',
    }),
  ]
}
