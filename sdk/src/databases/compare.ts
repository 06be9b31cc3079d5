/** Whether the log's entry tells which roles this process was given: the same leases, and nothing beside them. */
import { isObject } from '../verify/canonical.ts'
import type { RoleReply } from './role.ts'

/** In the words of a difference; nothing where there is none. No password is in an entry. */
export function leasesOf(logged: unknown): string | undefined {
  if (logged === undefined) return undefined
  if (!Array.isArray(logged)) return 'no list'
  return logged
    .map((one: unknown) => (isObject(one) ? words(one.id, one.database, one.username, one.expiresAt) : '?'))
    .join(', ')
}

export const wordsFor = (roles: readonly RoleReply[]): string | undefined =>
  roles.length === 0
    ? undefined
    : roles.map(({ lease, name, username, expiresAt }) => words(lease, name, username, expiresAt)).join(', ')

const words = (id: unknown, database: unknown, username: unknown, end: unknown): string =>
  `${String(id)} as ${String(username)} in ${String(database)} until ${endOf(end)}`

/** The same moment is the same text, however it is written down. */
function endOf(end: unknown): string {
  const at = end instanceof Date ? end : new Date(typeof end === 'string' ? end : Number.NaN)
  return Number.isNaN(at.getTime()) ? '?' : at.toISOString()
}
