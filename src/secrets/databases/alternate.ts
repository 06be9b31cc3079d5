/**
 * Two roles that take turns under one owner: one gets the next password while the other stays in use, and the earlier
 * one is closed once it is unused. Each step can be repeated.
 */
import type { SqlSession } from './connect.ts'
import { quoteIdentifier, quoteLiteral } from './identifier.ts'
import { administering, checkGroups, endConnections, inheriting, reachedBy, roleExists } from './roles.ts'
import { TargetError } from './target-error.ts'

/** The owner, which both roles inherit from, owns the objects that they create: closing a role removes none. */
async function joinOwner(session: SqlSession, username: string, owner: string): Promise<void> {
  const [row] = await session.run(`select pg_has_role($1::name, $2::name, 'usage') as member`, [username, owner])
  if (row?.['member'] === true) return
  const inherit = await inheriting(session)
  await administering(() => session.run(`grant ${quoteIdentifier(owner)} to ${quoteIdentifier(username)}${inherit}`))
}

/** Sets the password of a role and lets it log in. A missing role is created only with `create`. */
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
 * Refuses a role that has privileges beyond its owner's, itself or through a membership: its password goes to workloads.
 */
async function checkPlain(session: SqlSession, username: string): Promise<void> {
  if ((await reachedBy(session, username)).some((role) => role.powerful))
    throw new TargetError('too_powerful', 'a role of the policy is a privileged one, or reaches one')
}

/**
 * Takes the login, the password and every connection of a role. A role that does not exist is closed already. After a
 * crash the next attempt repeats every step.
 */
export async function closeRole(session: SqlSession, username: string, verifier: string): Promise<void> {
  if (!(await roleExists(session, username))) return
  const name = quoteIdentifier(username)
  await administering(() => session.run(`alter role ${name} nologin password ${quoteLiteral(verifier)}`))
  const [own] = await session.run(`select pg_has_role($1::name, 'usage') as member`, [username])
  if (own?.['member'] === true) return endConnections(session, username)
  // Ending connections needs membership, which the administrator of a role may grant itself: for this transaction only.
  await session.together(async () => {
    await session.run(`grant ${name} to current_user${await inheriting(session)}`)
    await endConnections(session, username)
    await session.run(`revoke ${name} from current_user`)
  })
}
