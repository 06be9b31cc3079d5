/** The name of a lease's role, derived from the lease's id: the role leads to the lease. */
import { createHash } from 'node:crypto'

/** Two Pursers may create roles at one server: neither takes the other's for orphans. */
export const rolePrefix = (instanceId: string): string =>
  `purser_${createHash('sha256').update(instanceId).digest('hex').slice(0, 8)}_`

export const roleName = (instanceId: string, leaseId: string): string =>
  rolePrefix(instanceId) + leaseId.slice('ls_'.length)

/** The lease whose role has a name; undefined for other names. */
export function leaseOf(instanceId: string, name: string): string | undefined {
  const prefix = rolePrefix(instanceId)
  const digits = name.slice(prefix.length)
  return name.startsWith(prefix) && /^[0-9a-f]{32}$/.test(digits) ? `ls_${digits}` : undefined
}

/** Whether a lease of any Purser may have a role of that name. */
export const isLikeRoleName = (name: string): boolean => /^purser_[0-9a-f]{8}_/.test(name)
