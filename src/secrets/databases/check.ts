/** Whether roles can be made in a database, found out without making one. */
import type { DatabaseRow } from '../../store/rows.ts'
import { type AdminParts, asAdmin } from './admin.ts'
import { lookAtGrant, lookAtSchema } from './check-grants.ts'
import { lookAtConnecting, lookAtGroups, lookAtRoles } from './check-roles.ts'
import type { Row, SqlSession } from './connect.ts'
import { type DatabaseDefinition, definitionOf } from './definition.ts'
import { quoteIdentifier } from './identifier.ts'
import { checkGroups } from './roles.ts'
import { TargetError, targetError } from './target-error.ts'

export type Finding = { what: string; ok: boolean; detail?: string }

/**
 * Never throws: what is wrong is a finding, and where a grant mends it, it ends with the statement.
 * @param prefix of the roles that this Purser makes
 */
export async function checkDatabase(parts: AdminParts, row: DatabaseRow, prefix: string): Promise<Finding[]> {
  const findings: Finding[] = []
  const definition = definitionOf(row)
  const how = definition.tls?.insecure ? 'without TLS and unverified' : 'verified by TLS'
  const reach = `the server is reached, ${how}, and takes the credential`
  try {
    await asAdmin(parts, row, async (session) => {
      findings.push({ what: reach, ok: true })
      for (const [what, look] of looks(definition, prefix)) findings.push(await finding(what, () => look(session)))
    })
  } catch (error) {
    findings.push(failed(reach, error))
  }
  return findings
}

type Look = [what: string, look: (session: SqlSession) => Promise<void>]

function looks(definition: DatabaseDefinition, prefix: string): Look[] {
  const { roles, admin } = definition
  const schemas = [...new Set(roles.grants.map((grant) => grant.schema))]
  const who = quoteIdentifier(admin.username)
  return [
    ['the administrator may make roles, and is no superuser', (session) => lookAtAdmin(session, who)],
    ['the roles that it made before can be taken away', (session) => lookAtRoles(session, prefix, who)],
    ['the groups are plain', (session) => checkGroups(session, roles.memberOf ?? [])],
    ['the groups can be granted', (session) => lookAtGroups(session, roles.memberOf ?? [], who)],
    ['roles can connect', (session) => lookAtConnecting(session, definition)],
    ...schemas.map((schema): Look => [
      `schema ${schema} can be granted`,
      (session) => lookAtSchema(session, schema, ['usage'], who),
    ]),
    ...roles.grants.map((grant): Look => [
      `${grant.privileges.join(', ')} on ${grant.objects} of ${grant.schema} can be granted`,
      (session) => lookAtGrant(session, grant, who),
    ]),
  ]
}

async function lookAtAdmin(session: SqlSession, who: string): Promise<void> {
  const [own = {}]: Row[] = await session.run(
    'select rolsuper, rolcreaterole, rolreplication, rolbypassrls from pg_roles where rolname = current_user',
  )
  if (own['rolsuper'] === true) throw new TargetError('too_powerful', 'it is a superuser: give it CREATEROLE alone')
  if (own['rolcreaterole'] !== true)
    throw new TargetError('not_permitted', `it lacks CREATEROLE: alter role ${who} createrole`)
  if (own['rolreplication'] === true || own['rolbypassrls'] === true)
    throw new TargetError('too_powerful', 'it has REPLICATION or BYPASSRLS, which it does not need')
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
