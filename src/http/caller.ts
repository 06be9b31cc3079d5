/** Who is asking: one bearer token, or a live client certificate. Client-certificate headers are never read. */
import type { IncomingMessage } from 'node:http'
import type { Caller } from '../authorize/caller.ts'
import { refuse } from '../errors.ts'
import { hashToken, tokenKind } from '../names/token.ts'
import { findApiToken } from '../operators/api-tokens.ts'
import { type Permission, operatorPermission, roleMay } from '../operators/permissions.ts'
import type { Snapshot } from '../store/snapshot.ts'
import type { BootstrapTries } from '../actions/tokens/bootstrap-tries.ts'
import { clientCertificate } from './client-certificate.ts'
import type { FindSession } from '../actions/sessions/find.ts'

const bearer = /^Bearer ([A-Za-z0-9._~+/-]+=*)$/

/** @throws Refusal `bad_authorization` unless there is at most one header and it is one plain bearer token */
function bearerToken(message: IncomingMessage): string | undefined {
  const given = message.headersDistinct.authorization
  if (given === undefined) return undefined
  const token = given.length === 1 ? bearer.exec(given[0] ?? '')?.[1] : undefined
  if (token === undefined) throw refuse('bad_authorization')
  return token
}

const unauthenticated = (): Error =>
  refuse('unauthenticated', { headers: { 'www-authenticate': 'Bearer realm="purser"' } })

export type IdentifyParts = {
  sessions: Pick<FindSession, 'byAccessToken' | 'byCertificate' | 'cached'>
  bootstrapTries: BootstrapTries
  /** False on the listener of workloads where operators have one of their own. */
  acceptsApiTokens: boolean
}

/**
 * The one credential of a request, by the kinds that its route takes. A token of another kind is told apart from an
 * unknown one, since its form alone says so.
 * @param appended whether what is given out is appended with the caller's session (`Grant.alive`), so that its end is judged there
 * @throws Refusal 400, 401, 403 or 429
 */
export async function identify(
  message: IncomingMessage,
  permission: Permission,
  snapshot: Snapshot,
  { sessions, bootstrapTries, acceptsApiTokens }: IdentifyParts,
  now: Date,
  appended: boolean,
): Promise<Caller> {
  if (permission === 'none') return { kind: 'anonymous' }
  const granted = permission.startsWith('granted:')
  const own = permission === 'self' || permission === 'introspect' || granted
  const find = appended ? sessions.cached : sessions
  const token = bearerToken(message)
  if (token === undefined) {
    const certificate = own ? clientCertificate(message, now) : undefined
    const found = certificate && (await find.byCertificate(certificate, snapshot, now))
    if (!found) throw unauthenticated()
    return { kind: 'session', session: found.session, credential: found, until: certificate.notAfter }
  }
  const kind = tokenKind(token)
  if (kind === undefined) throw unauthenticated()
  const hash = hashToken(token)
  if (permission === 'bootstrap') {
    if (kind !== 'boot') throw refuse('token_type')
    await bootstrapTries.admit(hash)
    return { kind: 'bootstrap', hash }
  }
  if (kind === 'at' && own) {
    const found = await find.byAccessToken(hash, snapshot, now)
    if (!found) throw unauthenticated()
    return { kind: 'session', session: found.session, credential: found, until: found.until }
  }
  if (kind !== 'api' || !acceptsApiTokens) throw refuse('token_type')
  const row = findApiToken(snapshot, hash, now)
  if (!row) throw unauthenticated()
  const asked = operatorPermission(permission)
  if (asked && !roleMay(row.role, asked)) {
    throw refuse('forbidden', { actor: { kind: 'operator', operator: row.operator, tokenId: row.id } })
  }
  return { kind: 'operator', operator: row.operator, role: row.role, tokenId: row.id, firstUse: !row.used }
}

/** The operator whose token a request shows, where it was refused before that was judged: for the log. */
export function operatorOf(message: IncomingMessage, snapshot: Snapshot, now: Date): Caller | undefined {
  const given = message.headersDistinct.authorization
  const token = given?.length === 1 ? bearer.exec(given[0] ?? '')?.[1] : undefined
  const row =
    token !== undefined && tokenKind(token) === 'api' ? findApiToken(snapshot, hashToken(token), now) : undefined
  return row && { kind: 'operator', operator: row.operator, role: row.role, tokenId: row.id, firstUse: !row.used }
}
