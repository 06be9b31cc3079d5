/**
 * The caller of a request: one bearer token, or the session cookie of a browser, or a client certificate of the connection.
 * The first of these counts alone. Headers with certificates are ignored.
 */
import type { IncomingMessage } from 'node:http'
import { actorOf } from '../actions/context.ts'
import { type Identify, findOperator } from '../actions/sessions/identify.ts'
import type { Actor } from '../audit/entry.ts'
import type { Caller } from '../authorize/caller.ts'
import { refuse } from '../errors.ts'
import { hashToken, tokenKind } from '../names/token.ts'
import { findAnyApiToken } from '../operators/api-tokens.ts'
import type { Snapshot } from '../store/snapshot.ts'
import { clientCertificate } from './client-certificate.ts'
import { cookieToken, ownCookieToken } from './session-cookie.ts'
import type { Route } from './route-kinds.ts'

const bearer = /^Bearer ([A-Za-z0-9._~+/-]+=*)$/

const tokenIn = (headers: string[]): string | undefined =>
  headers.length === 1 ? bearer.exec(headers[0] ?? '')?.[1] : undefined

/** @throws Refusal `bad_authorization` unless there is at most one header with one bearer token (RFC 6750 section 2.1) */
function bearerToken({ headersDistinct: { authorization } }: IncomingMessage): string | undefined {
  if (authorization === undefined) return undefined
  const token = tokenIn(authorization)
  if (token === undefined) throw refuse('bad_authorization')
  return token
}

export type CallerParts = {
  identify: Identify
  /** False on the listener of workloads if operators have a listener of their own. */
  acceptsApiTokens: boolean
}

type IdentifyCaller = (
  message: IncomingMessage,
  snapshot: Snapshot,
  now: Date,
  options: { mayUseCache: boolean },
) => Promise<Caller>

/** @throws Refusal 400, 401, 403 or 429 */
export function createIdentifyCaller(
  { permission, method, path }: Pick<Route, 'permission' | 'method' | 'path'>,
  { identify, acceptsApiTokens }: CallerParts,
): IdentifyCaller {
  return async (message, snapshot, now, { mayUseCache }) => {
    if (permission === 'none' || permission === 'login') return { kind: 'anonymous' }
    const requirement = { permission, route: `${method} ${path}`, acceptsApiTokens, mayUseCache }
    const token = bearerToken(message) ?? (permission === 'bootstrap' ? undefined : ownCookieToken(message))
    const presented = { token, certificate: () => clientCertificate(message, now) }
    const caller = await identify(presented, requirement, snapshot, now)
    if (!caller) throw refuse('unauthenticated', { headers: { 'www-authenticate': 'Bearer realm="purser"' } })
    return caller
  }
}

/**
 * The caller of a request that was refused before its caller was identified, for the log. An ended token proves nothing,
 * but its entry names it: that is how the use of a stolen token shows.
 */
export function presentedActor(message: IncomingMessage, snapshot: Snapshot, now: Date): Actor {
  const { authorization } = message.headersDistinct
  const token = authorization ? tokenIn(authorization) : cookieToken(message)
  if (token === undefined || tokenKind(token) !== 'api') return { kind: 'anonymous' }
  const operator = findOperator(token, snapshot, now)
  if (operator) return actorOf(operator)
  const ended = findAnyApiToken(snapshot, hashToken(token))
  return { kind: 'anonymous', ...(ended && { operator: ended.operator, tokenId: ended.id }) }
}
