/** The routes that an API token, or the operator's rights of a workload, may be limited to, as openapi.yaml has them. */
import { impossible } from '../actions/registrations.ts'
import { operatorGrantPointers } from '../authorize/operator-grant.ts'
import { suggestion } from '../names/suggestion.ts'
import { isOperatorPermission, needsPerson } from '../operators/permissions.ts'
import { loadOpenApi } from './openapi.ts'

const takesNoToken = new Set(['none', 'login', 'bootstrap'])

const isForTokens = (permission: string): boolean => !takesNoToken.has(permission)

/** A workload acts as an operator on the routes that no credential of a workload opens otherwise. */
const isForWorkloadOperators = (permission: string): boolean =>
  isOperatorPermission(permission) && !needsPerson(permission)

const cached = new Map<(permission: string) => boolean, ReadonlySet<string>>()

function routesWith(isTaken: (permission: string) => boolean): ReadonlySet<string> {
  const known = cached.get(isTaken)
  if (known) return known
  const { operations } = loadOpenApi()
  const taken = operations.filter(({ permission }) => isTaken(permission))
  const routes = new Set(taken.map(({ method, path }) => `${method} ${path}`))
  cached.set(isTaken, routes)
  return routes
}

/** @throws Refusal `impossible` for a route that does not exist or takes no API token */
export const checkTokenRoutes = (routes: readonly string[]): void =>
  checkRoutes(routes, routesWith(isForTokens), { at: '/routes', what: 'API tokens' })

/** @throws Refusal `impossible` for a route that does not exist or takes no workload as an operator */
export const checkGrantRoutes = (routes: readonly string[]): void =>
  checkRoutes(routes, routesWith(isForWorkloadOperators), {
    at: operatorGrantPointers.routes,
    what: 'workloads that act as operators',
  })

function checkRoutes(
  routes: readonly string[],
  possible: ReadonlySet<string>,
  { at, what }: { at: string; what: string },
): void {
  for (const [n, route] of routes.entries()) {
    if (possible.has(route)) continue
    throw impossible(`${at}/${n}`, `no route for ${what} is spelled so${suggestion(route, possible)}`)
  }
}
