/**
 * Heirs: roles that own the objects of dropped roles. Each database has its own: a function or view of one tenant must
 * not reach the objects of another.
 */
import type { SqlSession } from './connect.ts'

/** The heir that all databases of an administrator shared in earlier versions. */
async function sharedHeir(session: SqlSession): Promise<string> {
  const [own] = await session.run(`select 'purser_remains_' || oid as name from pg_roles where rolname = current_user`)
  return String(own?.['name'])
}

/** Each administrator creates its own: another administrator could not reassign objects to it. */
export const heirName = async (session: SqlSession, databaseId: string): Promise<string> =>
  `${await sharedHeir(session)}_${databaseId.replace(/^db_/, '')}`

/** The objects that a role owns in this database, with the privileges of others on them. */
const ownedAcls = `
  select case c.relkind when 'S' then 'sequence' else 'table' end as kind, c.oid::regclass::text as name, c.relowner as owner, c.relacl as acl
    from pg_class c where c.relkind in ('r', 'p', 'v', 'm', 'f', 'S')
  union all select 'table', c.oid::regclass::text, c.relowner, a.attacl
    from pg_attribute a join pg_class c on c.oid = a.attrelid where a.attacl is not null
  union all select 'routine', p.oid::regprocedure::text, p.proowner, coalesce(p.proacl, acldefault('f', p.proowner)) from pg_proc p
  union all select 'schema', format('%I', n.nspname), n.nspowner, n.nspacl from pg_namespace n
  union all select 'large object', l.oid::text, l.lomowner, l.lomacl from pg_largeobject_metadata l`

async function runEach(session: SqlSession, username: string, statements: string): Promise<void> {
  for (const { sql } of await session.run(statements, [username])) await session.run(String(sql))
}

const invoker = `
  select format('alter routine %s security invoker', p.oid::regprocedure) as sql
    from pg_proc p join pg_roles r on r.oid = p.proowner where r.rolname = $1 and p.prosecdef and pg_has_role(current_user, p.proowner, 'usage')`

/** Makes the objects of a role harmless: no SECURITY DEFINER, no grants to others. A member of the role runs it. */
export async function disarm(session: SqlSession, username: string): Promise<void> {
  await runEach(session, username, invoker)
  await runEach(
    session,
    username,
    `select distinct format('revoke all on %s %s from %s cascade', o.kind, o.name,
              case a.grantee when 0 then 'public' else quote_ident(pg_get_userbyid(a.grantee)) end) as sql
       from (${ownedAcls}) o join pg_roles r on r.oid = o.owner cross join aclexplode(o.acl) a
      where r.rolname = $1 and a.grantee <> o.owner`,
  )
}

/** Functions of the shared heir run with their caller's privileges. Grants that an operator made stay. */
export async function disarmShared(session: SqlSession): Promise<void> {
  await runEach(session, await sharedHeir(session), invoker)
}
