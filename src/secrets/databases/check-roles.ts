/** Whether an administrator may administer the roles that it has to, and whether those that it makes can connect. */
import type { Row, SqlSession } from './connect.ts'
import type { DatabaseDefinition } from './definition.ts'
import { quoteIdentifier } from './identifier.ts'
import { administersByMembership } from './roles.ts'
import { TargetError } from './target-error.ts'

/** Before PostgreSQL 16 whoever may make roles may grant any that is no superuser. */
export async function lookAtGroups(session: SqlSession, names: readonly string[], who: string): Promise<void> {
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
    `from PostgreSQL 16 on CREATEROLE alone grants no group: grant ${groups} to ${who} with admin option`,
  )
}

/** Another administrator may have made those that are there. */
export async function lookAtRoles(session: SqlSession, prefix: string, who: string): Promise<void> {
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
  const how =
    makers.length > 0
      ? `grant ${makers.map(quoteIdentifier).join(', ')} to ${who} with inherit true`
      : `grant each of them to ${who} WITH ADMIN OPTION`
  throw new TargetError(
    'not_permitted',
    `${rows.length} roles were made by somebody else, who alone may take them away from PostgreSQL 16 on: ${how}`,
  )
}

/** Grants are on schemas and what is in them: the right to connect comes from PUBLIC, as by default, or from a group. */
export async function lookAtConnecting(session: SqlSession, { database, roles }: DatabaseDefinition): Promise<void> {
  const groups = roles.memberOf ?? []
  const [found] = await session.run(
    `select has_database_privilege('public', current_database(), 'connect')
         or exists (select from pg_roles where rolname = any($1) and has_database_privilege(oid, current_database(), 'connect')) as may`,
    [groups],
  )
  if (found?.['may'] === true) return
  const whom = groups[0] === undefined ? 'a NOLOGIN group, and name that in memberOf' : quoteIdentifier(groups[0])
  throw new TargetError(
    'not_permitted',
    `PUBLIC may not connect, and so no role that is made here: grant connect on database ${quoteIdentifier(database)} to ${whom}`,
  )
}
