/** Roles at a target: created whole or not at all. */
import type { Row, SqlSession } from './connect.ts'
import type { ObjectKind, RolesDefinition, TargetGrant } from './definition.ts'
import { quoteIdentifier, quoteLiteral } from './identifier.ts'
import { TargetError } from './target-error.ts'

export const objects: Record<Exclude<ObjectKind, 'schema'>, { single: string; all: string }> = {
  tables: { single: 'table', all: 'all tables in schema' },
  sequences: { single: 'sequence', all: 'all sequences in schema' },
  functions: { single: 'function', all: 'all functions in schema' },
}

/** Privileges come from a closed list (definition.ts), names are quoted. */
function grantSql({ schema, objects: kind, names, privileges }: TargetGrant, role: string): string[] {
  const words = privileges.join(', ')
  const within = quoteIdentifier(schema)
  if (kind === 'schema') return [`grant ${words} on schema ${within} to ${role}`]
  const { single, all } = objects[kind]
  const on = names
    ? `${single} ${names.map((name) => `${within}.${quoteIdentifier(name)}`).join(', ')}`
    : `${all} ${within}`
  return [`grant usage on schema ${within} to ${role}`, `grant ${words} on ${on} to ${role}`]
}

const until = (time: Date): string => quoteLiteral(time.toISOString())

/** A role and every role that it is a member of; empty where the role does not exist. */
export async function reachedBy(
  session: SqlSession,
  name: string,
): Promise<{ isRoot: boolean; login: boolean; powerful: boolean }[]> {
  const rows = await session.run(
    `with recursive reached (oid) as (
       select oid from pg_roles where rolname = $1
       union select m.roleid from pg_auth_members m join reached on reached.oid = m.member)
     select r.rolname = $1 as root, r.rolcanlogin as login,
            r.rolsuper or r.rolcreaterole or r.rolcreatedb or r.rolreplication or r.rolbypassrls
              or r.rolname like 'pg\\_%' or r.rolname = current_user as powerful
       from reached join pg_roles r using (oid)`,
    [name],
  )
  const isTrue = (row: Row, column: string): boolean => row[column] === true
  return rows.map((row) => ({
    isRoot: isTrue(row, 'root'),
    login: isTrue(row, 'login'),
    powerful: isTrue(row, 'powerful'),
  }))
}

/**
 * Refuses a group role that is privileged, itself or through a membership: a new role would have more than its grants.
 */
export async function checkGroups(session: SqlSession, names: readonly string[]): Promise<void> {
  for (const name of names) {
    const reached = await reachedBy(session, name)
    if (reached.length === 0) throw new TargetError('missing', 'a group role of the definition does not exist')
    if (reached.some((role) => role.isRoot && role.login))
      throw new TargetError('too_powerful', 'a group role of the definition can log in: it must be NOLOGIN')
    if (reached.some((role) => role.powerful))
      throw new TargetError('too_powerful', 'a group role of the definition reaches a privileged role')
  }
}

/**
 * Two concurrent changes of one object's privileges fail with "tuple concurrently updated". This lock serializes those of
 * every replica and every Purser. "purser" in ASCII.
 */
export const lockPrivileges = (session: SqlSession): Promise<unknown> =>
  session.run('select pg_advisory_xact_lock($1)', ['123649733649778'])

export type NewRole = { username: string; verifier: string; expiresAt: Date }

/** Creates a role and its grants in one transaction. */
export async function createRole(session: SqlSession, definition: RolesDefinition, role: NewRole): Promise<void> {
  const name = quoteIdentifier(role.username)
  const { grants, memberOf = [], connectionLimit = -1 } = definition
  await session.together(async () => {
    await lockPrivileges(session)
    await checkGroups(session, memberOf)
    await session.run(
      `create role ${name} login inherit nosuperuser nocreatedb nocreaterole noreplication nobypassrls ` +
        `connection limit ${Math.trunc(connectionLimit)} password ${quoteLiteral(role.verifier)} valid until ${until(role.expiresAt)}`,
    )
    for (const group of memberOf) await administering(() => session.run(`grant ${quoteIdentifier(group)} to ${name}`))
    for (const grant of grants) for (const sql of grantSql(grant, name)) await session.run(sql)
  })
}

/** @throws TargetError `missing` for a role that does not exist */
export async function extendRole(session: SqlSession, username: string, expiresAt: Date): Promise<void> {
  await administering(() => session.run(`alter role ${quoteIdentifier(username)} valid until ${until(expiresAt)}`))
}

export async function roleExists(session: SqlSession, username: string): Promise<boolean> {
  return (await session.run('select 1 from pg_roles where rolname = $1', [username])).length > 0
}

const maxEndings = 20

/** Ends the connections of a role to every database of the server. No new ones begin: the role is NOLOGIN. */
export async function endConnections(session: SqlSession, username: string): Promise<void> {
  for (let tries = 0; tries < maxEndings; tries++) {
    // Within a transaction pg_stat_activity repeats its first answer.
    await session.run('select pg_stat_clear_snapshot()')
    const rows = await session.run(
      'select pg_terminate_backend(pid) from pg_stat_activity where usename = $1 and pid <> pg_backend_pid()',
      [username],
    )
    if (rows.length === 0) return
    await session.run('select pg_sleep(0.05)')
  }
  throw new TargetError('in_the_way', 'connections of the role did not end')
}

/** From PostgreSQL 16 on CREATEROLE alone administers no role: its creator does, and members with admin option. */
export async function administersByMembership(session: SqlSession): Promise<boolean> {
  const [row] = await session.run(`select current_setting('server_version_num')::int >= 160000 as does`)
  return row?.['does'] === true
}

/** From PostgreSQL 16 on a grant of membership says whether it is inherited; before, INHERIT of the member does. */
export const inheriting = async (session: SqlSession): Promise<string> =>
  (await administersByMembership(session)) ? ' with inherit true' : ''

/** @throws TargetError `not_permitted` with the grant that helps, where the administrator may not administer a role */
export async function administering<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof TargetError) || error.fault !== 'not_permitted') throw error
    throw new TargetError(
      'not_permitted',
      'the administrator may not administer a role that it did not make: from PostgreSQL 16 on it must be granted to it WITH ADMIN OPTION',
    )
  }
}

/** The names of roles with a prefix. */
export async function rolesWithPrefix(session: SqlSession, prefix: string): Promise<string[]> {
  const rows: Row[] = await session.run('select rolname from pg_roles where starts_with(rolname, $1) order by 1', [
    prefix,
  ])
  return rows.map((row) => String(row['rolname']))
}
