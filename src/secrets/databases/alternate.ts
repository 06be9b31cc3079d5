/**
 * Two roles that take turns under one owner: one gets the next password while the other stays in use, and the earlier
 * one is closed once it is unused. Each step can be repeated.
 */
import type { SqlSession } from './connect.ts'
import { quoteIdentifier, quoteLiteral } from './identifier.ts'
import { administering, checkGroups, endConnections, inheriting, reachedBy, roleExists } from './roles.ts'
import { TargetError } from './target-error.ts'

/** What both inherit from owns what they make: a role that is closed takes nothing with it. */
async function joinOwner(session: SqlSession, username: string, owner: string): Promise<void> {
  const [found] = await session.run(`select pg_has_role($1::name, $2::name, 'usage') as member`, [username, owner])
  if (found?.['member'] === true) return
  const how = await inheriting(session)
  await administering(() => session.run(`grant ${quoteIdentifier(owner)} to ${quoteIdentifier(username)}${how}`))
}

/** Gives a role its password, and lets it log in. One that is missing is made only where that is wanted. */
export async function openRole(
  session: SqlSession,
  { username, owner, verifier, create }: { username: string; owner: string; verifier: string; create: boolean },
): Promise<void> {
  const name = quoteIdentifier(username)
  await session.together(async () => {
    await checkGroups(session, [owner])
    if (!(await roleExists(session, username))) {
      if (!create)
        throw new TargetError('missing', 'a role of the policy does not exist, and it says nothing of making it')
      await session.run(
        `create role ${name} nologin inherit nosuperuser nocreatedb nocreaterole noreplication nobypassrls`,
      )
    }
    await checkPlain(session, username)
    await joinOwner(session, username, owner)
    await administering(() =>
      session.run(`alter role ${name} login valid until 'infinity' password ${quoteLiteral(verifier)}`),
    )
  })
}

/**
 * A role that may more than its owner gives it is none whose password goes to workloads: by itself, or by what it is a
 * member of.
 */
async function checkPlain(session: SqlSession, username: string): Promise<void> {
  if ((await reachedBy(session, username)).some((one) => one.powerful))
    throw new TargetError('too_powerful', 'a role of the policy is a privileged one, or reaches one')
}

/**
 * No login, no password that anybody knows, no connection. One that is gone already is closed. Where somebody dies at
 * it, the next one begins anew.
 */
export async function closeRole(session: SqlSession, username: string, verifier: string): Promise<void> {
  if (!(await roleExists(session, username))) return
  const name = quoteIdentifier(username)
  await administering(() => session.run(`alter role ${name} nologin password ${quoteLiteral(verifier)}`))
  const [own] = await session.run(`select pg_has_role($1::name, 'usage') as member`, [username])
  if (own?.['member'] === true) return endConnections(session, username)
  // Whoever may administer a role may be its member, which ending its connections takes: never for longer than that.
  await session.together(async () => {
    await session.run(`grant ${name} to current_user${await inheriting(session)}`)
    await endConnections(session, username)
    await session.run(`revoke ${name} from current_user`)
  })
}
