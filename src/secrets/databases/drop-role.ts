/**
 * Drops a role, in steps that each may be repeated. Its objects stay, and some run with their owner's privileges:
 * SECURITY DEFINER functions, views, rules, index expressions. They go to a role without privileges, never to the
 * administrator.
 */
import type { SqlSession } from './connect.ts'
import { disarm, disarmShared, heirName } from './heirs.ts'
import { quoteIdentifier } from './identifier.ts'
import { administering, endConnections, lockPrivileges, inheriting, roleExists } from './roles.ts'

async function ownsAnything(session: SqlSession, username: string): Promise<boolean> {
  const rows = await session.run(
    `select 1 from pg_shdepend d join pg_roles r on r.oid = d.refobjid
      where r.rolname = $1 and d.refclassid = 'pg_authid'::regclass and d.deptype = 'o' limit 1`,
    [username],
  )
  return rows.length > 0
}

/** Runs in a transaction, as a member of the role. Most roles own nothing. */
async function reassignOwned(session: SqlSession, username: string, databaseId: string): Promise<void> {
  if (!(await ownsAnything(session, username))) return
  await disarm(session, username)
  const name = await heirName(session, databaseId)
  const heir = quoteIdentifier(name)
  if (!(await roleExists(session, name)))
    await session.run(
      `create role ${heir} nologin inherit nosuperuser nocreatedb nocreaterole noreplication nobypassrls`,
    )
  await session.run(`grant ${heir} to current_user${await inheriting(session)}`)
  // The new owner of a function needs CREATE on its schema. The server quotes its own names.
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
 * DROP OWNED revokes privileges of a relation and of its columns, and fails where the administrator holds none that
 * columns have, such as only USAGE of a sequence or DELETE. Such privileges are revoked by name.
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
 * Drops a role, whatever an earlier attempt left of it. Its objects stay: the end of a lease destroys no data.
 * @param databaseId the id of the database, which has an heir of its own
 * @returns whether the role existed
 */
export async function dropRole(session: SqlSession, username: string, databaseId: string): Promise<boolean> {
  if (!(await roleExists(session, username))) return false
  const name = quoteIdentifier(username)
  await administering(() => session.run(`alter role ${name} nologin valid until '-infinity'`))
  // The creator of a role administers it (PostgreSQL 16), before that every CREATEROLE does. Membership lets it end the
  // role's connections, and reassign its objects.
  await session.run(`grant ${name} to current_user${await inheriting(session)}`)
  await endConnections(session, username)
  await session.together(async () => {
    await lockPrivileges(session)
    await disarmShared(session)
    await reassignOwned(session, username, databaseId)
    await revokeByName(session, username)
    await session.run(`drop owned by ${name}`)
    await session.run(`drop role ${name}`)
  })
  return true
}
