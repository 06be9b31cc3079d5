/** Roles at a target: made whole or not at all. */
import type { Row, SqlSession } from './connect.ts'
import type { ObjectKind, RolesDefinition, TargetGrant } from './definition.ts'
import { quoteIdentifier, quoteLiteral } from './identifier.ts'
import { TargetError } from './target-error.ts'

export const objects: Record<Exclude<ObjectKind, 'schema'>, { one: string; all: string }> = {
  tables: { one: 'table', all: 'all tables in schema' },
  sequences: { one: 'sequence', all: 'all sequences in schema' },
  functions: { one: 'function', all: 'all functions in schema' },
}

/** Privileges are words of a closed list (definition.ts), names are quoted. */
function grantSql({ schema, objects: kind, names, privileges }: TargetGrant, role: string): string[] {
  const words = privileges.join(', ')
  const within = quoteIdentifier(schema)
  if (kind === 'schema') return [`grant ${words} on schema ${within} to ${role}`]
  const { one, all } = objects[kind]
  const on = names
    ? `${one} ${names.map((name) => `${within}.${quoteIdentifier(name)}`).join(', ')}`
    : `${all} ${within}`
  return [`grant usage on schema ${within} to ${role}`, `grant ${words} on ${on} to ${role}`]
}

/** Seconds are kept: the server compares with its own clock. */
const until = (time: Date): string => quoteLiteral(time.toISOString())

/** A role and every role that it is a member of; nothing where there is none of that name. */
export async function reachedBy(
  session: SqlSession,
  name: string,
): Promise<{ asked: boolean; login: boolean; powerful: boolean }[]> {
  const rows = await session.run(
    `with recursive reached (oid) as (
       select oid from pg_roles where rolname = $1
       union select m.roleid from pg_auth_members m join reached on reached.oid = m.member)
     select r.rolname = $1 as asked, r.rolcanlogin as login,
            r.rolsuper or r.rolcreaterole or r.rolcreatedb or r.rolreplication or r.rolbypassrls
              or r.rolname like 'pg\\_%' or r.rolname = current_user as powerful
       from reached join pg_roles r using (oid)`,
    [name],
  )
  const is = (row: Row, what: string): boolean => row[what] === true
  return rows.map((row) => ({ asked: is(row, 'asked'), login: is(row, 'login'), powerful: is(row, 'powerful') }))
}

/**
 * A group role is refused where it, or any role that it is a member of, could do what no workload may: that would make
 * more of the new role than its grants say.
 */
export async function checkGroups(session: SqlSession, names: readonly string[]): Promise<void> {
  for (const name of names) {
    const reached = await reachedBy(session, name)
    if (reached.length === 0) throw new TargetError('missing', 'a group role of the definition does not exist')
    if (reached.some((one) => one.asked && one.login))
      throw new TargetError('too_powerful', 'a group role of the definition can log in: it must be NOLOGIN')
    if (reached.some((one) => one.powerful))
      throw new TargetError('too_powerful', 'a group role of the definition reaches a privileged role')
  }
}

/**
 * Two that change the rights of one object at once fail with "tuple concurrently updated": those of ours go one after the
 * other, whichever replica or Purser they are of. "purser" in ASCII.
 */
export const inLine = (session: SqlSession): Promise<unknown> =>
  session.run('select pg_advisory_xact_lock($1)', ['123649733649778'])

export type NewRole = { username: string; verifier: string; expiresAt: Date }

/** In one transaction: where anything fails there is no role. */
export async function createRole(session: SqlSession, definition: RolesDefinition, role: NewRole): Promise<void> {
  const name = quoteIdentifier(role.username)
  const { grants, memberOf = [], connectionLimit = -1 } = definition
  await session.together(async () => {
    await inLine(session)
    await checkGroups(session, memberOf)
    await session.run(
      `create role ${name} login inherit nosuperuser nocreatedb nocreaterole noreplication nobypassrls ` +
        `connection limit ${Math.trunc(connectionLimit)} password ${quoteLiteral(role.verifier)} valid until ${until(role.expiresAt)}`,
    )
    for (const group of memberOf) await administering(() => session.run(`grant ${quoteIdentifier(group)} to ${name}`))
    for (const grant of grants) for (const sql of grantSql(grant, name)) await session.run(sql)
  })
}

/** @throws TargetError `missing` for a role that is gone */
export async function extendRole(session: SqlSession, username: string, expiresAt: Date): Promise<void> {
  await administering(() => session.run(`alter role ${quoteIdentifier(username)} valid until ${until(expiresAt)}`))
}

export async function roleExists(session: SqlSession, username: string): Promise<boolean> {
  return (await session.run('select 1 from pg_roles where rolname = $1', [username])).length > 0
}

const maxEndings = 20

/** Ends its connections to any database of the server. None can be new: the role is NOLOGIN by then. */
export async function endConnections(session: SqlSession, username: string): Promise<void> {
  for (let tries = 0; tries < maxEndings; tries++) {
    // In a transaction, what pg_stat_activity said first is what it says.
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

/** From PostgreSQL 16 on CREATEROLE alone administers nobody: who makes a role may, and whoever that was granted to. */
export async function administersByMembership(session: SqlSession): Promise<boolean> {
  const [row] = await session.run(`select current_setting('server_version_num')::int >= 160000 as does`)
  return row?.['does'] === true
}

/** From PostgreSQL 16 on whether a membership gives privileges by itself is said with it; before, the member's INHERIT. */
export const inheriting = async (session: SqlSession): Promise<string> =>
  (await administersByMembership(session)) ? ' with inherit true' : ''

/** @throws TargetError `not_permitted` that says what to grant, where the administrator may not administer a role */
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

/** The names of roles that begin so; a prefix holds no wildcard. */
export async function rolesWithPrefix(session: SqlSession, prefix: string): Promise<string[]> {
  const rows: Row[] = await session.run('select rolname from pg_roles where starts_with(rolname, $1) order by 1', [
    prefix,
  ])
  return rows.map((row) => String(row['rolname']))
}
