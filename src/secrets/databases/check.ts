/** Checks that roles can be created in a database, without creating one. */
import type { DatabaseRow } from '../../store/rows.ts'
import { type AdminParts, asAdmin } from './admin.ts'
import { checkGrant, checkSchema } from './check-grants.ts'
import { checkConnect, checkGrantable, checkExistingRoles } from './check-roles.ts'
import type { Row, SqlSession } from './connect.ts'
import { type DatabaseDefinition, definitionOf } from './definition.ts'
import { quoteIdentifier } from './identifier.ts'
import { checkGroups } from './roles.ts'
import { TargetError, targetError } from './target-error.ts'

export type Finding = { what: string; ok: boolean; detail?: string }

/**
 * Never throws: a fault is a finding, which ends with the SQL statement that mends it where there is one.
 * @param prefix of the names of roles that this Purser creates
 */
export async function checkDatabase(parts: AdminParts, row: DatabaseRow, prefix: string): Promise<Finding[]> {
  const findings: Finding[] = []
  const definition = definitionOf(row)
  const security = definition.tls?.insecure ? 'without TLS and unverified' : 'verified by TLS'
  const reach = `the server is reached, ${security}, and takes the credential`
  try {
    await asAdmin(parts, row, async (session) => {
      findings.push({ what: reach, ok: true })
      for (const [what, check] of checksFor(definition, prefix))
        findings.push(await finding(what, () => check(session)))
    })
  } catch (error) {
    findings.push(failed(reach, error))
  }
  return findings
}

type Check = [what: string, check: (session: SqlSession) => Promise<void>]

function checksFor(definition: DatabaseDefinition, prefix: string): Check[] {
  const { roles, admin } = definition
  const schemas = [...new Set(roles.grants.map((grant) => grant.schema))]
  const grantee = quoteIdentifier(admin.username)
  return [
    ['the administrator may make roles, and is no superuser', (session) => checkAdmin(session, grantee)],
    ['the roles that it made before can be taken away', (session) => checkExistingRoles(session, prefix, grantee)],
    ['the groups are plain', (session) => checkGroups(session, roles.memberOf ?? [])],
    ['the groups can be granted', (session) => checkGrantable(session, roles.memberOf ?? [], grantee)],
    ['roles can connect', (session) => checkConnect(session, definition)],
    ...schemas.map((schema): Check => [
      `schema ${schema} can be granted`,
      (session) => checkSchema(session, schema, ['usage'], grantee),
    ]),
    ...roles.grants.map((grant): Check => [
      `${grant.privileges.join(', ')} on ${grant.objects} of ${grant.schema} can be granted`,
      (session) => checkGrant(session, grant, grantee),
    ]),
  ]
}

async function checkAdmin(session: SqlSession, grantee: string): Promise<void> {
  const [own = {}]: Row[] = await session.run(
    'select rolsuper, rolcreaterole, rolreplication, rolbypassrls from pg_roles where rolname = current_user',
  )
  if (own['rolsuper'] === true) throw new TargetError('too_powerful', 'it is a superuser: give it CREATEROLE alone')
  if (own['rolcreaterole'] !== true)
    throw new TargetError('not_permitted', `it lacks CREATEROLE: alter role ${grantee} createrole`)
  if (own['rolreplication'] === true || own['rolbypassrls'] === true)
    throw new TargetError('too_powerful', 'it has REPLICATION or BYPASSRLS, which it does not need')
}

async function finding(what: string, check: () => Promise<void>): Promise<Finding> {
  try {
    await check()
    return { what, ok: true }
  } catch (error) {
    return failed(what, error)
  }
}

const failed = (what: string, error: unknown): Finding => ({ what, ok: false, detail: targetError(error).detail })
