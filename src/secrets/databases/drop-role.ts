/**
 * The end of a role, in steps that each may be repeated. What it owns goes on existing when the role goes, and runs with the rights of whoever owns it then: functions that are
 * SECURITY DEFINER, views, rules, expressions of indexes. So it goes to a role that may nothing, and never to the administrator.
 */
import type { SqlSession } from './connect.ts'
import { disarm, disarmShared, heirName } from './heirs.ts'
import { quoteIdentifier } from './identifier.ts'
import { administering, endConnections, inLine, inheriting, roleExists } from './roles.ts'

async function ownsAnything(session: SqlSession, username: string): Promise<boolean> {
  const rows = await session.run(
    `select 1 from pg_shdepend d join pg_roles r on r.oid = d.refobjid
      where r.rolname = $1 and d.refclassid = 'pg_authid'::regclass and d.deptype = 'o' limit 1`,
    [username],
  )
  return rows.length > 0
}

/** In a transaction, as a member of that role. Most own nothing. */
async function handOn(session: SqlSession, username: string, databaseId: string): Promise<void> {
  if (!(await ownsAnything(session, username))) return
  await disarm(session, username)
  const name = await heirName(session, databaseId)
  const heir = quoteIdentifier(name)
  if (!(await roleExists(session, name)))
    await session.run(
      `create role ${heir} nologin inherit nosuperuser nocreatedb nocreaterole noreplication nobypassrls`,
    )
  await session.run(`grant ${heir} to current_user${await inheriting(session)}`)
  // Whoever is given a function must be able to make one there. The server quotes its own names.
  const grants = await session.run(
    `select format('grant create on schema %I to %I', nspname, $2::text) as grant,
            format('revoke create on schema %I from %I', nspname, $2::text) as revoke from pg_namespace
      where has_schema_privilege($1::name, oid, 'create') and has_schema_privilege(oid, 'create with grant option')`,
    [username, name],
  )
  for (const { grant } of grants) await session.run(String(grant))
  await session.run(`reassign owned by ${quoteIdentifier(username)} to ${heir}`)
  for (const { revoke } of grants) await session.run(String(revoke))
}

/**
 * DROP OWNED revokes everything of a relation and so of its columns too, and fails where the administrator has no right that
 * columns have, such as USAGE of a sequence or DELETE alone. There, what was granted is revoked by name.
 */
async function revokeByName(session: SqlSession, username: string): Promise<void> {
  const revocations = await session.run(
    `select format('revoke %s on %s %I.%I from %I', string_agg(distinct a.privilege_type, ', '),
              case c.relkind when 'S' then 'sequence' else 'table' end, n.nspname, c.relname, $1::text) as sql
       from pg_roles r
       join pg_shdepend d on d.refclassid = 'pg_authid'::regclass and d.refobjid = r.oid and d.deptype = 'a'
        and d.classid = 'pg_class'::regclass and d.dbid = (select oid from pg_database where datname = current_database())
       join pg_class c on c.oid = d.objid
       join pg_namespace n on n.oid = c.relnamespace
      cross join aclexplode(c.relacl) a
      where r.rolname = $1::name and a.grantee = r.oid
        and not has_table_privilege(c.oid, 'select, insert, update, references')
        and case c.relkind when 'S' then has_sequence_privilege(c.oid, a.privilege_type || ' with grant option')
              else has_table_privilege(c.oid, a.privilege_type || ' with grant option') end
      group by c.relkind, n.nspname, c.relname`,
    [username],
  )
  for (const { sql } of revocations) await session.run(String(sql))
}

/**
 * Takes a role away, whatever was left of it by an earlier try. What it owns stays: an end of a lease destroys no data. Answers whether it was there.
 * @param databaseId the id of its definition, which has an heir of its own
 */
export async function dropRole(session: SqlSession, username: string, databaseId: string): Promise<boolean> {
  if (!(await roleExists(session, username))) return false
  const name = quoteIdentifier(username)
  await administering(() => session.run(`alter role ${name} nologin valid until '-infinity'`))
  // Who makes a role may administer it (PostgreSQL 16), and before that any CREATEROLE may: membership lets it end the
  // role's connections, and take over what it owns.
  await session.run(`grant ${name} to current_user${await inheriting(session)}`)
  await endConnections(session, username)
  await session.together(async () => {
    await inLine(session)
    await disarmShared(session)
    await handOn(session, username, databaseId)
    await revokeByName(session, username)
    await session.run(`drop owned by ${name}`)
    await session.run(`drop role ${name}`)
  })
  return true
}
