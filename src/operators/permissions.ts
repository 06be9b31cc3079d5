/** Who may do what. Every route names one permission; the compiler knows them all. */
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
  'tokens.read': ['admin', 'auditor'],
  'tokens.write': ['admin'],
  'keys.read': ['admin', 'operator', 'auditor'],
  'keys.write': ['admin'],
  'audit.read': ['admin', 'auditor'],
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

/**
 * What a route asks of its caller. `none`: nobody is looked at, a proof may be in the body. `bootstrap`: the bootstrap
 * token. `self`: any live credential of the caller's own. `introspect`: the same, to ask about somebody else's token.
 * `granted:…`: a workload by a live credential of its own, whose grant the handler asks, or an operator with the permission.
 */
export type Permission =
  'none' | 'bootstrap' | 'self' | 'introspect' | OperatorPermission | `granted:${OperatorPermission}`

export const isOperatorPermission = (permission: string): permission is OperatorPermission =>
  Object.hasOwn(permissions, permission)

/** What the route asks of an operator; nothing where it asks for no role. */
export function operatorPermission(permission: Permission): OperatorPermission | undefined {
  const name = permission.replace(/^granted:/, '')
  return isOperatorPermission(name) ? name : undefined
}

export const roleMay = (role: Role, permission: OperatorPermission): boolean =>
  (permissions[permission] as readonly Role[]).includes(role)
