/** The name of a lease's role: from the lease's id alone, so that whoever finds the role finds the lease. */
import { createHash } from 'node:crypto'

/** Two Pursers may make roles at one server: neither takes the other's for orphans. */
export const rolePrefix = (instanceId: string): string =>
  `purser_${createHash('sha256').update(instanceId).digest('hex').slice(0, 8)}_`

export const roleName = (instanceId: string, leaseId: string): string =>
  rolePrefix(instanceId) + leaseId.slice('ls_'.length)

/** Whether a name with the prefix is one of ours to the end. */
export const isRoleName = (instanceId: string, name: string): boolean =>
  name.startsWith(rolePrefix(instanceId)) && /^[0-9a-f]{32}$/.test(name.slice(rolePrefix(instanceId).length))

/** Whether some Purser's leases may have a role of that name. */
export const isLikeRoleName = (name: string): boolean => /^purser_[0-9a-f]{8}_/.test(name)
