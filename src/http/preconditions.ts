/** `If-Match` (RFC 9110 section 13.1.1): a caller replaces or removes the revision that it read. `If-None-Match`: it has a copy. */
import { impossible } from '../actions/registrations.ts'
import { refuse } from '../errors.ts'
import { nameOf, pathOf } from './params.ts'
import type { ApiRequest } from './request.ts'

/** @throws Refusal `precondition_required` (428), whether or not the resource exists */
export function expectedRevision({ ifMatch }: Pick<ApiRequest, 'ifMatch'>): number {
  if (ifMatch === undefined) {
    throw refuse('precondition_required', { detail: 'send If-Match with the revision that you read, or "0" to create' })
  }
  return Number(ifMatch)
}

/** The resource to remove, with the revision that the caller read. */
export const namedRevision = (request: Pick<ApiRequest, 'params' | 'ifMatch'>): { name: string; expected: number } => ({
  expected: expectedRevision(request),
  name: nameOf(request),
})

/** The secret to change, with the revision that the caller read. */
export const pathRevision = (request: Pick<ApiRequest, 'params' | 'ifMatch'>): { path: string; expected: number } => ({
  expected: expectedRevision(request),
  path: pathOf(request).path,
})

/** @throws Refusal `impossible` if the body has another name than the path */
export function checkName(request: Pick<ApiRequest, 'params'>, { name }: { name: string }): void {
  if (name !== nameOf(request)) throw impossible('/name', 'must be the name in the path')
}

export const etag = (revision: number): Record<string, string> => ({ etag: `"${revision}"` })

/** RFC 9110 section 13.1.2: weak comparison, so `W/` does not count. */
export const hasCopy = ({ ifNoneMatch }: Pick<ApiRequest, 'ifNoneMatch'>, tag: string): boolean =>
  ifNoneMatch !== undefined &&
  ifNoneMatch.split(',').some((value) => ['*', `"${tag}"`].includes(value.trim().replace(/^W\//, '')))
