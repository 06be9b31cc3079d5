/** Checks that an administrator may administer its roles, and that the roles it creates can connect. */
import type { Row, SqlSession } from './connect.ts'
import type { DatabaseDefinition } from './definition.ts'
import { quoteIdentifier } from './identifier.ts'
import { administersByMembership } from './roles.ts'
import { TargetError } from './target-error.ts'

/** Before PostgreSQL 16, a role with CREATEROLE may grant every role that is not a superuser. */
export async function checkGrantable(session: SqlSession, names: readonly string[], grantee: string): Promise<void> {
  if (!(await administersByMembership(session))) return
  const rows: Row[] = await session.run(
    `select rolname as name from pg_roles
      where rolname = any($1) and not pg_has_role(oid, 'member with admin option') order by 1`,
    [names],
  )
  if (rows.length === 0) return
  const groups = rows.map((row) => quoteIdentifier(String(row['name']))).join(', ')
  throw new TargetError(
    'not_permitted',
    `from PostgreSQL 16 on CREATEROLE alone grants no group: grant ${groups} to ${grantee} with admin option`,
  )
}

/** Another administrator may have created the existing roles. */
export async function checkExistingRoles(session: SqlSession, prefix: string, grantee: string): Promise<void> {
  if (!(await administersByMembership(session))) return
  const rows: Row[] = await session.run(
    `select r.rolname as name, max(by.rolname) as maker
       from pg_roles r
       left join pg_auth_members m on m.roleid = r.oid and m.admin_option
       left join pg_roles by on by.oid = m.member and not by.rolsuper
      where starts_with(r.rolname, $1) and not pg_has_role(r.oid, 'member with admin option')
      group by r.rolname order by 1`,
    [prefix],
  )
  if (rows.length === 0) return
  const makers = [...new Set(rows.flatMap(({ maker }) => (typeof maker === 'string' ? [maker] : [])))]
  const remedy =
    makers.length > 0
      ? `grant ${makers.map(quoteIdentifier).join(', ')} to ${grantee} with inherit true`
      : `grant each of them to ${grantee} WITH ADMIN OPTION`
  throw new TargetError(
    'not_permitted',
    `another administrator created ${rows.length} roles, and from PostgreSQL 16 on only their creator may drop them: ${remedy}`,
  )
}

/** Grants cover schemas and their objects; the right to connect comes from PUBLIC (the default) or from a group. */
export async function checkConnect(session: SqlSession, { database, roles }: DatabaseDefinition): Promise<void> {
  const groups = roles.memberOf ?? []
  const [row] = await session.run(
    `select has_database_privilege('public', current_database(), 'connect')
         or exists (select from pg_roles where rolname = any($1) and has_database_privilege(oid, current_database(), 'connect')) as may`,
    [groups],
  )
  if (row?.['may'] === true) return
  const grantee = groups[0] === undefined ? 'a NOLOGIN group, and name that in memberOf' : quoteIdentifier(groups[0])
  throw new TargetError(
    'not_permitted',
    `PUBLIC may not connect, and so no role that is made here: grant connect on database ${quoteIdentifier(database)} to ${grantee}`,
  )
}
