/** Roles in databases: their options, and their form in answers. */
import { concealed } from './concealed.ts'
import { PurserError } from '../errors.ts'
import { fields, list, text, time } from '../json/fields.ts'
import type { DatabaseRole } from '../types/databases.ts'

/** A role as the answer holds it, not yet compared with the log. */
export type RoleReply = { name: string; lease: string; username: string; password: string; expiresAt: Date }

/** The server's limit for one request. */
const maxAtOnce = 16

export const readRoles = (value: unknown): RoleReply[] =>
  list(value, 'databases', (item, at) => {
    const role = fields(item, at)
    const lease = text(role.lease, `${at}/lease`)
    // It becomes part of a URL path.
    if (!/^ls_\w{1,64}$/.test(lease)) throw new PurserError('bad_reply', `the server's answer has no lease at ${at}`)
    return {
      name: text(role.name, `${at}/name`),
      lease,
      username: text(role.username, `${at}/username`),
      password: text(role.password, `${at}/password`),
      expiresAt: time(role.expiresAt, `${at}/expiresAt`),
    }
  })

/** Whether the roles are the requested ones, in their order. @returns the fault in words; undefined without a fault */
export function rolesFault(roles: readonly RoleReply[], names: readonly string[]): string | undefined {
  const same = roles.length === names.length && names.every((name, n) => roles[n]?.name === name)
  return same ? undefined : 'the roles are not in the requested databases'
}

export function roleOf({ name, lease, username, password, expiresAt }: RoleReply): DatabaseRole {
  const shown = { name, lease, username, expiresAt }
  return concealed('DatabaseRole', { shown, hidden: { password }, json: shown })
}

const bad = (why: string): PurserError => new PurserError('bad_options', why)

/** @throws PurserError `bad_options`, without the text, which may be a secret value by mistake */
export function checkDatabase(name: unknown): string {
  if (typeof name !== 'string' || !/^[a-z0-9][a-z0-9-]{0,62}$/.test(name))
    throw bad('the name of a database has 1 to 63 characters of a-z, 0-9 and hyphen, and does not begin with a hyphen')
  return name
}

/** @throws PurserError `bad_options` */
export function checkDatabases(names: unknown): string[] {
  if (!Array.isArray(names)) throw bad('databases is a list of names')
  if (names.length > maxAtOnce) throw bad(`one request can include ${maxAtOnce} databases; get() gets others`)
  return [...new Set(names.map(checkDatabase))]
}
