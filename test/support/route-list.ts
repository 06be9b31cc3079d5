/** The route list without a server: handlers are made and never called, so no part is needed. */
import { type RouteParts, createRoutes } from '../../src/http/routes.ts'

const nothing: unknown = new Proxy({}, { get: () => nothing })
const isParts = (value: unknown): value is RouteParts => value === nothing
if (!isParts(nothing)) throw new Error('not parts')

export const routes = createRoutes(nothing)
