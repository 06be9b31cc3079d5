/** Whether roles can be made in a database, found out without making one. */
import type { DatabaseRow } from '../../store/rows.ts'
import { type AdminParts, asAdmin } from './admin.ts'
import type { Row, Session } from './connect.ts'
import { type DatabaseDefinition, definitionOf } from './definition.ts'
import { checkGroups } from './roles.ts'
import { TargetError, targetError } from './target-error.ts'

export type Finding = { what: string; ok: boolean; detail?: string }

/** Never throws: what is wrong is a finding. */
export async function checkDatabase(parts: AdminParts, row: DatabaseRow): Promise<Finding[]> {
  const findings: Finding[] = []
  const reach = 'the server is reached, verified, and takes the credential'
  try {
    await asAdmin(parts, row, async (session) => {
      findings.push({ what: reach, ok: true })
      for (const [what, look] of looks(definitionOf(row))) findings.push(await finding(what, () => look(session)))
    })
  } catch (error) {
    findings.push(failed(reach, error))
  }
  return findings
}

type Look = [what: string, look: (session: Session) => Promise<void>]

function looks({ roles }: DatabaseDefinition): Look[] {
  const schemas = [...new Set(roles.grants.map((grant) => grant.schema))]
  return [
    [
      'the administrator may make roles, and is no superuser',
      async (session) => {
        const [own = {}]: Row[] = await session.run(
          'select rolsuper, rolcreaterole, rolreplication, rolbypassrls from pg_roles where rolname = current_user',
        )
        if (own['rolcreaterole'] !== true) throw new TargetError('not_permitted', 'it lacks CREATEROLE')
        if (own['rolsuper'] === true)
          throw new TargetError('too_powerful', 'it is a superuser: give it CREATEROLE alone')
        if (own['rolreplication'] === true || own['rolbypassrls'] === true)
          throw new TargetError('too_powerful', 'it has REPLICATION or BYPASSRLS, which it does not need')
      },
    ],
    ['the groups are plain', (session) => checkGroups(session, roles.memberOf ?? [])],
    ...schemas.map((schema): Look => [
      `schema ${schema} can be granted`,
      async (session) => {
        const [found] = await session.run(
          `select has_schema_privilege(oid, 'usage with grant option') as may from pg_namespace where nspname = $1`,
          [schema],
        )
        if (!found) throw new TargetError('missing', 'there is no such schema')
        if (found['may'] !== true) throw new TargetError('not_granted', 'the administrator may not grant its use')
      },
    ]),
  ]
}

async function finding(what: string, look: () => Promise<void>): Promise<Finding> {
  try {
    await look()
    return { what, ok: true }
  } catch (error) {
    return failed(what, error)
  }
}

const failed = (what: string, error: unknown): Finding => ({ what, ok: false, detail: targetError(error).detail })
