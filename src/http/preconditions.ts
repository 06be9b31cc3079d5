/** `If-Match` (RFC 9110 section 13.1.1): what is replaced or removed is named by the revision that was looked at. */
import { refuse } from '../errors.ts'
import type { ApiRequest } from './request.ts'

/** @throws Refusal `precondition_required` (428), before anything says whether the thing exists */
export function expectedRevision({ ifMatch }: Pick<ApiRequest, 'ifMatch'>): number {
  if (ifMatch === undefined) {
    throw refuse('precondition_required', { detail: 'send If-Match with the revision that you read, or "0" to create' })
  }
  return Number(ifMatch)
}

export const etag = (revision: number): Record<string, string> => ({ etag: `"${revision}"` })
