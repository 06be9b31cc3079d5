/** A request that is written in the body of another one: matched to its route and validated as if it were sent. */
import { type Problem, refuse } from '../errors.ts'
import { hasSecretPath } from '../names/bound.ts'
import { boundOf } from '../authorize/caller.ts'
import type { ExactRequest } from '../operators/approvable.ts'
import { type Operation, loadOpenApi } from './openapi.ts'
import { canonicalPath, pathPattern } from './path-pattern.ts'
import { parseQuery } from './query.ts'
import type { ApiRequest } from './request.ts'

type Matched = { operation: Operation; params: Record<string, string> }

function matched({ method, path }: ExactRequest): Matched | undefined {
  const [plain = ''] = path.split('?')
  for (const operation of loadOpenApi().operations) {
    const groups = operation.method === method ? pathPattern(operation).exec(plain)?.groups : undefined
    // A path without parameters has no groups.
    if (groups || (operation.method === method && operation.path === plain)) return { operation, params: { ...groups } }
  }
  return undefined
}

const below = (problems: readonly Problem[], place: string): Problem[] =>
  problems.map(({ pointer, detail }) => ({ pointer: `${place}${pointer}`, detail }))

/**
 * @returns the operation, and the request as the endpoint will see it
 * @throws Refusal `invalid_request` with pointers below `/request`, `too_large`, or `not_found` for a secret outside the
 *   caller's bound
 */
export function readWritten(
  written: ExactRequest,
  { caller }: Pick<ApiRequest, 'caller'>,
): { operation: Operation; exact: ExactRequest } {
  const { method, path, ifMatch, body } = written
  const invalid = (problems: readonly Problem[]): Error => refuse('invalid_request', { errors: [...problems] })
  const route = canonicalPath.test(path) ? matched(written) : undefined
  if (!route) throw invalid([{ pointer: '/request/path', detail: 'no route has this method and path' }])
  const { operation, params } = route
  const { values, problems } = operation.validateParams({
    path: params,
    query: queryIn(path),
    headers: { ...(ifMatch !== undefined && { 'if-match': ifMatch }) },
  })
  const faults = [
    ...below(problems, '/request'),
    ...below(operation.validateBody(body), '/request/body'),
    ...faultsOfIfMatch(operation, ifMatch),
  ]
  if (faults.length > 0 || !values) throw invalid(faults)
  if (body !== undefined && Buffer.byteLength(JSON.stringify(body)) > operation.maxBodyBytes) throw refuse('too_large')
  // As the endpoint of the request does: outside the caller's bound there is no secret.
  if (params['path'] !== undefined && !hasSecretPath(boundOf(caller), params['path'])) throw refuse('not_found')
  return {
    operation,
    exact: {
      method,
      path,
      ...(ifMatch !== undefined && { ifMatch }),
      ...(body !== undefined && { body }),
    },
  }
}

function queryIn(path: string): Record<string, string | string[]> {
  try {
    return parseQuery(path)
  } catch {
    throw refuse('invalid_request', { errors: [{ pointer: '/request/path', detail: 'the query is not canonical' }] })
  }
}

function faultsOfIfMatch({ takes }: Operation, ifMatch: string | undefined): Problem[] {
  if (takes.ifMatch === (ifMatch !== undefined)) return []
  return [{ pointer: '/request/ifMatch', detail: takes.ifMatch ? 'is required' : 'is not read by this route' }]
}
