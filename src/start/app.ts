/** Each route with its endpoint: those of paths without parameters in a map, the others in an Express application. */
import { IncomingMessage, type RequestListener, ServerResponse } from 'node:http'
import express, { type NextFunction, type Request, type Response } from 'express'
import { type Endpoint, type EndpointParts, createEndpoint } from '../http/route.ts'
import { type Route, methodsOf } from '../http/route-kinds.ts'
import type { OpenApi, Operation } from '../http/openapi.ts'
import { createUnmatched } from '../http/unmatched.ts'
import { isOperatorPermission } from '../operators/permissions.ts'

/** `/a/{name}:check` in the syntax of Express 5 (path-to-regexp 8); a parameter of many segments is a wildcard. */
function expressPath({ path, manySegments }: Operation): string {
  return path
    .replaceAll(':', '\\:')
    .replaceAll(/\{([^}]+)\}/g, (_, name: string) => (manySegments.includes(name) ? `*${name}` : `:${name}`))
}

/** Suffix routes first: `/{name}` would match `/{name}:check`. */
const bySpecificity = (a: Route, b: Route): number => Number(b.path.includes('}:')) - Number(a.path.includes('}:'))

function operationOf({ method, path }: Route, openapi: OpenApi): Operation {
  const operation = openapi.operations.find((operation) => operation.method === method && operation.path === path)
  if (!operation) throw new Error(`openapi.yaml has no ${method} ${path}`)
  return operation
}

const paramsOf = (request: Request): Record<string, string> =>
  Object.fromEntries(
    Object.entries(request.params).map(([name, value]) => [name, Array.isArray(value) ? value.join('/') : value]),
  )

const verbs = { GET: 'get', POST: 'post', PUT: 'put', PATCH: 'patch', DELETE: 'delete' } as const

/** @throws Error when a route is not in openapi.yaml */
export function createApp(routes: readonly Route[], openapi: OpenApi, parts: EndpointParts): RequestListener {
  const app = express()
  // Express changes the prototype of each message, which makes every later access to it slow (75 of 125 µs of a bare reply
  // over TLS). Endpoints use nothing of Express's prototypes.
  Object.assign(app, { request: IncomingMessage.prototype, response: ServerResponse.prototype })
  app.disable('x-powered-by')
  app.disable('etag')
  // Two spellings of a path must never reach one route.
  app.enable('case sensitive routing')
  app.enable('strict routing')
  app.set('query parser', false)
  const served = [...routes].sort(bySpecificity).map((route) => ({ route, operation: operationOf(route, openapi) }))
  const unmatched = createUnmatched(
    parts,
    served.map(({ route, operation }) => ({ ...operation, methods: methodsOf(route) })),
  )
  // Express compares a path with each route in turn, and goes through several functions for the one that matches.
  const fixed = new Map<string, Endpoint>()
  for (const { route, operation } of served) {
    const endpoint = createEndpoint(route, operation, parts)
    const methods = methodsOf(route)
    if (!route.path.includes('{')) for (const method of methods) fixed.set(`${method} ${route.path}`, endpoint)
    app[verbs[route.method]](expressPath(operation), (message: Request, response: Response, next: NextFunction) => {
      const params = paramsOf(message)
      // Express passes HEAD to the handler of GET, and `/a/x:check` to that of `/a/{name}`.
      const isOurs = methods.includes(message.method) && !Object.values(params).some((value) => value.includes(':'))
      return isOurs ? endpoint(message, response, params) : next()
    })
  }
  app.use((message: Request, response: Response) => unmatched.answer(message, response))
  // Express recognizes an error handler by its four parameters. The default one shows a stack to the caller.
  app.use((error: unknown, message: Request, response: Response, _: NextFunction) =>
    unmatched.failed(error, message, response),
  )

  async function serve(message: IncomingMessage, response: ServerResponse): Promise<void> {
    const fault = unmatched.faultOf(message)
    if (fault !== undefined) return unmatched.reject(message, response, fault)
    const endpoint = fixed.get(`${message.method} ${message.url}`)
    if (endpoint) return endpoint(message, response, {})
    app(message, response)
  }

  return (message, response) =>
    void serve(message, response).catch((error: unknown) => unmatched.failed(error, message, response))
}

/** Routes whose replies are signed, so that plain HTTP may carry them. */
export const isForCrls = ({ path }: Route): boolean => path.startsWith('/crl/') || path === '/ca.pem'

/** Routes that stay on the common listener where operators have their own. */
export const isForWorkloads = ({ permission }: Route): boolean =>
  permission !== 'bootstrap' && permission !== 'login' && !isOperatorPermission(permission)
