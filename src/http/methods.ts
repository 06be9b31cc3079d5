import type { Route } from './route.ts'

/**
 * HEAD is served where anyone may read, since its answer costs and discloses what GET does. Everywhere else it is 405:
 * a request that delivers no value must not be recorded as a read, nor count as the use of a secret's version.
 */
export const methodsOf = ({ method, permission, kind }: Route): readonly string[] =>
  method === 'GET' && permission === 'none' && kind === 'read' ? ['GET', 'HEAD'] : [method]
