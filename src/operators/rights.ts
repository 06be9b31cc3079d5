/**
 * The rights of an API token: what its own role, the present role of its operator, its routes and its bound all allow. A
 * token never passes on more than it has.
 */
import { type Bound, isWithin } from '../names/bound.ts'
import type { OperatorRow, Role } from '../store/rows.ts'
import { type OperatorPermission, covers, needsNoBound, roleMay, roles } from './permissions.ts'

export type Rights = {
  /** Of the token. */
  role: Role
  /** Of its operator. */
  operatorRole: Role
  /** Absent: all routes. */
  routes?: readonly string[]
  /** What the bounds of token and operator both permit. Absent: everything. */
  bound?: Bound
}

export const rightsMay = ({ role, operatorRole, bound }: Rights, permission: OperatorPermission): boolean =>
  roleMay(role, permission) && roleMay(operatorRole, permission) && !(bound && needsNoBound(permission))

/** @param route `METHOD /path` as openapi.yaml has it */
export const mayCall = ({ routes }: Pick<Rights, 'routes'>, route: string): boolean =>
  routes === undefined || routes.includes(route)

/** Whether the holder may have a token of this role. */
export const coversRole = ({ role, operatorRole }: Rights, other: Role): boolean =>
  covers(role, other) && covers(operatorRole, other)

/** Whether the holder may have a token with these routes. */
export const coversRoutes = (own: Pick<Rights, 'routes'>, other: readonly string[] | undefined): boolean =>
  own.routes === undefined || (other?.every((route) => mayCall(own, route)) ?? false)

/** Whether the holder may have a token, or an operator, with this bound. */
export const coversBound = (own: Pick<Rights, 'bound'>, other: Bound | undefined): boolean => isWithin(other, own.bound)

/** The one of these roles that all of them cover; undefined for `operator` beside `auditor`. */
export const narrowest = (some: readonly Role[]): Role | undefined =>
  some.find((role) => some.every((other) => covers(other, role)))

/** The roles whose tokens work for an operator on servers of the previous version, which know no bounds. */
export const rolesOf = ({ role, disabled, bound }: Pick<OperatorRow, 'role' | 'disabled' | 'bound'>): Role[] =>
  disabled || bound ? [] : roles.filter((other) => covers(role, other))
