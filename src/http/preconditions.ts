/** `If-Match` (RFC 9110 section 13.1.1): what is replaced or removed is named by the revision that the caller read. */
import { impossible } from '../actions/registrations.ts'
import { refuse } from '../errors.ts'
import { nameOf } from './params.ts'
import type { ApiRequest } from './request.ts'

/** @throws Refusal `precondition_required` (428), whether or not there is such a resource */
export function expectedRevision({ ifMatch }: Pick<ApiRequest, 'ifMatch'>): number {
  if (ifMatch === undefined) {
    throw refuse('precondition_required', { detail: 'send If-Match with the revision that you read, or "0" to create' })
  }
  return Number(ifMatch)
}

/** What is removed, at the revision that the caller read. */
export const namedRevision = (request: Pick<ApiRequest, 'params' | 'ifMatch'>): { name: string; expected: number } => ({
  expected: expectedRevision(request),
  name: nameOf(request),
})

/** What is put under a name. @throws Refusal `impossible` where the body has another name than the path */
export function checkName(request: Pick<ApiRequest, 'params'>, { name }: { name: string }): void {
  if (name !== nameOf(request)) throw impossible('/name', 'must be the name in the path')
}

export const etag = (revision: number): Record<string, string> => ({ etag: `"${revision}"` })
