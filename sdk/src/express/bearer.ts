/** The one token of a request (RFC 6750 section 2.1). */
import type { IncomingMessage } from 'node:http'
import { PurserError } from '../errors.ts'

const bearer = /^Bearer ([A-Za-z0-9._~+/-]+=*)$/i
/** Another scheme counts as no credential, which section 3.1 answers without an error code. */
const otherScheme = /^(?!Bearer(?:\s|$))[!#$%&'*+.^_`|~0-9A-Za-z-]+(?: |$)/i

const bad = (why: string): PurserError => new PurserError('bad_authorization', why)

/**
 * @returns undefined without an Authorization header
 * @throws PurserError `bad_authorization` for several headers, a malformed token, or a token in the query, where logs and
 *   histories store it; `unauthenticated` for another scheme
 */
export function readBearer(request: IncomingMessage & { originalUrl?: string }): string | undefined {
  // `headers` hides a second header, which a proxy may have checked instead.
  const headers = request.headersDistinct.authorization
  if (hasTokenInQuery(request.originalUrl ?? request.url ?? '')) {
    throw bad('the request has an access_token in its query; tokens are accepted only in the Authorization header')
  }
  if (headers === undefined) return undefined
  const [header = ''] = headers
  if (headers.length > 1) throw bad('the request has more than one Authorization header')
  if (otherScheme.test(header)) {
    throw new PurserError('unauthenticated', "the request's Authorization header has another scheme than Bearer")
  }
  const token = bearer.exec(header)?.[1]
  if (token === undefined) throw bad("the request's Authorization header is not the word Bearer and one token")
  return token
}

function hasTokenInQuery(url: string): boolean {
  const query = url.indexOf('?')
  return query >= 0 && new URLSearchParams(url.slice(query)).has('access_token')
}
