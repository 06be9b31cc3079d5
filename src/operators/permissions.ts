/** Permissions and the roles that have them. Every route names one permission. */
import type { Role } from '../store/rows.ts'

export const permissions = {
  'attestors.read': ['admin', 'operator', 'auditor'],
  'attestors.write': ['admin'],
  'workloads.read': ['admin', 'operator', 'auditor'],
  'workloads.write': ['admin', 'operator'],
  'workloads.explain': ['admin', 'operator', 'auditor'],
  'join-tokens.create': ['admin', 'operator'],
  'revocations.read': ['admin', 'operator', 'auditor'],
  'revocations.create': ['admin', 'operator'],
  'revocations.release': ['admin', 'operator'],
  'containments.read': ['admin', 'operator', 'auditor'],
  'containments.create': ['admin', 'operator'],
  'containments.release': ['admin', 'operator'],
  'approvals.read': ['admin', 'operator', 'auditor'],
  'approvals.write': ['admin', 'operator', 'auditor'],
  'tokens.read': ['admin', 'auditor'],
  'tokens.write': ['admin'],
  'tokens.own': ['admin', 'operator', 'auditor'],
  'operators.read': ['admin', 'auditor'],
  'operators.write': ['admin'],
  'keys.read': ['admin', 'operator', 'auditor'],
  'keys.write': ['admin'],
  'audit.read': ['admin', 'auditor'],
  'audit.export': ['admin', 'auditor'],
  'secrets.read': ['admin', 'operator', 'auditor'],
  'secrets.write': ['admin', 'operator'],
  'secrets.reveal': ['admin', 'operator'],
  'databases.read': ['admin', 'operator', 'auditor'],
  'databases.write': ['admin'],
  'leases.read': ['admin', 'operator', 'auditor'],
  'leases.write': ['admin', 'operator'],
  'metrics.read': ['admin', 'operator', 'auditor'],
} as const satisfies Record<string, readonly Role[]>

export type OperatorPermission = keyof typeof permissions

/** What belongs to all teams together: a bounded operator never has it. */
const unbounded = new Set<OperatorPermission>([
  'attestors.write',
  'databases.write',
  'keys.write',
  'audit.export',
  'metrics.read',
])

export const needsNoBound = (permission: OperatorPermission): boolean => unbounded.has(permission)

/** What a workload never may as an operator: it has no account, and a person decides when a block is lifted. */
const ofPeople = new Set<OperatorPermission>([
  'tokens.read',
  'tokens.write',
  'tokens.own',
  'approvals.read',
  'approvals.write',
  'revocations.release',
  'containments.release',
])

export const needsPerson = (permission: OperatorPermission): boolean => ofPeople.has(permission)

/**
 * What a route requires of its caller. `none`: nothing; a proof may be in the body. `login`: nothing; a password or
 * an ID token is in the body, and only the listener of operators has the route. `bootstrap`: a bootstrap token. `self`:
 * any live credential. `introspect`: any live credential, for a request about the token of another. `granted:…`: a live
 * credential of a workload, whose grant the handler checks, or an operator with the permission.
 */
export type Permission =
  'none' | 'login' | 'bootstrap' | 'self' | 'introspect' | OperatorPermission | `granted:${OperatorPermission}`

export const isOperatorPermission = (permission: string): permission is OperatorPermission =>
  Object.hasOwn(permissions, permission)

/** The permission that an operator needs; undefined if no role is required. */
export function operatorPermission(permission: string): OperatorPermission | undefined {
  const name = permission.replace(/^granted:/, '')
  return isOperatorPermission(name) ? name : undefined
}

export const roleMay = (role: Role, permission: OperatorPermission): boolean =>
  (permissions[permission] as readonly Role[]).includes(role)

export const roles: readonly Role[] = ['admin', 'operator', 'auditor']

/** Whether a role has every permission of another one. Neither of `operator` and `auditor` covers the other. */
export const covers = (role: Role, other: Role): boolean =>
  Object.values<readonly Role[]>(permissions).every((holders) => !holders.includes(other) || holders.includes(role))

/** Whether routes with the permission take a credential that may be revoked. Metrics stay available on a replica that is behind. */
export const takesCredential = (permission: Permission): boolean =>
  !['none', 'login', 'bootstrap', 'metrics.read'].includes(permission)
