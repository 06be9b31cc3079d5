/** The routes that an API token may be limited to, as openapi.yaml has them: those that take API tokens. */
import { impossible } from '../actions/registrations.ts'
import { suggestion } from '../names/suggestion.ts'
import { loadOpenApi } from './openapi.ts'

const takesNoToken = new Set(['none', 'login', 'bootstrap'])

let known: ReadonlySet<string> | undefined

const tokenRoutes = (): ReadonlySet<string> =>
  (known ??= new Set(
    loadOpenApi()
      .operations.filter(({ permission }) => !takesNoToken.has(permission))
      .map(({ method, path }) => `${method} ${path}`),
  ))

/** @throws Refusal `impossible` for a route that does not exist or takes no API token */
export function checkTokenRoutes(routes: readonly string[]): void {
  for (const [n, route] of routes.entries()) {
    if (tokenRoutes().has(route)) continue
    throw impossible(`/routes/${n}`, `no route for API tokens is spelled so${suggestion(route, tokenRoutes())}`)
  }
}
