/** The route list without a server: handlers are created and never called, so no part is needed. */
import { type RouteParts, createRoutes } from '../../src/http/routes.ts'

const anyParts: unknown = new Proxy({}, { get: () => anyParts })
const isParts = (value: unknown): value is RouteParts => value === anyParts
if (!isParts(anyParts)) throw new Error('not parts')

export const routes = createRoutes(anyParts)
