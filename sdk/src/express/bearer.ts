/** The one token of a request (RFC 6750 section 2.1). */
import type { IncomingMessage } from 'node:http'
import { PurserError } from '../errors.ts'

const bearer = /^Bearer ([A-Za-z0-9._~+/-]+=*)$/i
/** Another scheme is no attempt that went wrong: section 3.1 asks for an answer without an error. */
const otherScheme = /^(?!Bearer(?:\s|$))[!#$%&'*+.^_`|~0-9A-Za-z-]+(?: |$)/i

const bad = (why: string): PurserError => new PurserError('bad_authorization', why)

/**
 * @returns undefined where there is no Authorization header
 * @throws PurserError `bad_authorization`: not one header with one plain token, or one in the query, where logs and
 *   histories keep it; `unauthenticated`: another scheme
 */
export function readBearer(request: IncomingMessage & { originalUrl?: string }): string | undefined {
  // `headers` keeps the first of two and says nothing of the other; who checked the request before may have read that.
  const given = request.headersDistinct.authorization
  if (hasTokenInQuery(request.originalUrl ?? request.url ?? '')) {
    throw bad('the request has an access_token in its query; tokens are taken from the Authorization header alone')
  }
  if (given === undefined) return undefined
  const [header = ''] = given
  if (given.length > 1) throw bad('the request has more than one Authorization header')
  if (otherScheme.test(header)) {
    throw new PurserError('unauthenticated', "the request's Authorization header is of another scheme than Bearer")
  }
  const token = bearer.exec(header)?.[1]
  if (token === undefined) throw bad("the request's Authorization header is not one token after the word Bearer")
  return token
}

function hasTokenInQuery(url: string): boolean {
  const query = url.indexOf('?')
  return query >= 0 && new URLSearchParams(url.slice(query)).has('access_token')
}
