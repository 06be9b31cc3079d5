/** A role in a database in this process: its password is at hand, and in no log by accident. */
import { concealed } from './concealed.ts'
import { PurserError } from '../errors.ts'
import { fields, list, text, time } from '../json/fields.ts'
import type { DatabaseRole } from '../types/databases.ts'

/** As an answer has it, read and not yet compared with the log. */
export type RoleReply = { name: string; lease: string; username: string; password: string; expiresAt: Date }

/** Of one request, as the server takes them. */
const maxAtOnce = 16

export const readRoles = (value: unknown): RoleReply[] =>
  list(value, 'databases', (one, at) => {
    const role = fields(one, at)
    const lease = text(role.lease, `${at}/lease`)
    // It becomes part of a path.
    if (!/^ls_\w{1,64}$/.test(lease)) throw new PurserError('bad_reply', `the server's answer has no lease at ${at}`)
    return {
      name: text(role.name, `${at}/name`),
      lease,
      username: text(role.username, `${at}/username`),
      password: text(role.password, `${at}/password`),
      expiresAt: time(role.expiresAt, `${at}/expiresAt`),
    }
  })

/** Whether what came is what was asked for, in its order. @returns words on what is wrong; nothing where all is well */
export function faultIn(roles: readonly RoleReply[], wanted: readonly string[]): string | undefined {
  const same = roles.length === wanted.length && wanted.every((name, n) => roles[n]?.name === name)
  return same ? undefined : 'the roles are not in the databases that were asked for'
}

export function roleOf({ name, lease, username, password, expiresAt }: RoleReply): DatabaseRole {
  const shown = { name, lease, username, expiresAt }
  return concealed('DatabaseRole', { shown, hidden: { password }, json: shown })
}

const bad = (why: string): PurserError => new PurserError('bad_options', why)

/** @throws PurserError `bad_options`; the text itself is not repeated: it may be a value that went astray */
export function checkDatabase(name: unknown): string {
  if (typeof name !== 'string' || !/^[a-z0-9][a-z0-9-]{0,62}$/.test(name))
    throw bad('the name of a database is 1 to 63 of a-z, 0-9 and hyphen, and begins with none')
  return name
}

/** @throws PurserError `bad_options` */
export function checkDatabases(given: unknown): string[] {
  if (!Array.isArray(given)) throw bad('databases is a list of names')
  if (given.length > maxAtOnce) throw bad(`${maxAtOnce} databases are the most in one request: get() gives others`)
  return [...new Set(given.map(checkDatabase))]
}
