/** Identifies the caller by the one credential that it presents: a bearer token, or a client certificate. */
import type { Caller } from '../../authorize/caller.ts'
import type { ClientCertificate } from '../../authorize/client-certificate.ts'
import { refuse } from '../../errors.ts'
import { intersection } from '../../names/bound.ts'
import { hashToken, tokenKind } from '../../names/token.ts'
import { findApiToken } from '../../operators/api-tokens.ts'
import { type Permission, operatorPermission } from '../../operators/permissions.ts'
import { mayCall, rightsMay } from '../../operators/rights.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import type { BootstrapTries } from '../tokens/bootstrap-tries.ts'
import type { FindSession } from './find.ts'

/** A certificate counts only where no token is presented. */
type Presented = { token: string | undefined; certificate: () => ClientCertificate | undefined }

type Requirement = {
  permission: Exclude<Permission, 'none' | 'login'>
  /** `METHOD /path` as openapi.yaml has it. */
  route: string
  acceptsApiTokens: boolean
  /** Whether a session may come from the cache, because the append checks that it has not ended. */
  mayUseCache: boolean
}

/**
 * @returns nothing for an unknown, expired or revoked credential
 * @throws Refusal `token_type` for a credential of another kind, which its form reveals; `forbidden`; `rate_limited`
 */
export type Identify = (
  presented: Presented,
  requirement: Requirement,
  snapshot: Snapshot,
  now: Date,
) => Promise<Caller | undefined>

type IdentifyParts = {
  /** Whether the configuration still has the mapping of an OpenID login. */
  hasMapping: (loginBy: string) => boolean
  sessions: Pick<FindSession, 'byAccessToken' | 'byCertificate' | 'cached'>
  bootstrapTries: BootstrapTries
}

export function createIdentify({ sessions, bootstrapTries, hasMapping }: IdentifyParts): Identify {
  return async ({ token, certificate }, { permission, route, acceptsApiTokens, mayUseCache }, snapshot, now) => {
    const acceptsSessions = permission === 'self' || permission === 'introspect' || permission.startsWith('granted:')
    const find = mayUseCache ? sessions.cached : sessions
    if (token === undefined) {
      const presented = acceptsSessions ? certificate() : undefined
      const credential = presented && (await find.byCertificate(presented, snapshot, now))
      return credential && { kind: 'session', session: credential.session, credential, until: presented.notAfter }
    }
    const kind = tokenKind(token)
    if (kind === undefined) return undefined
    const hash = hashToken(token)
    if (permission === 'bootstrap') {
      if (kind !== 'boot') throw refuse('token_type')
      await bootstrapTries.admit(hash)
      return { kind: 'bootstrap', hash }
    }
    if (kind === 'at' && acceptsSessions) {
      const credential = await find.byAccessToken(hash, snapshot, now)
      return credential && { kind: 'session', session: credential.session, credential, until: credential.until }
    }
    if (kind !== 'api' || !acceptsApiTokens) throw refuse('token_type')
    const operator = findOperator(token, snapshot, now)
    const required = operatorPermission(permission)
    if (!operator) return undefined
    const { loginBy } = snapshot.apiTokens.get(operator.tokenId) ?? {}
    if (loginBy !== undefined && !hasMapping(loginBy)) return undefined
    const actor = { kind: 'operator', operator: operator.operator, tokenId: operator.tokenId }
    if (!mayCall(operator, route)) {
      throw refuse('forbidden', { actor, detail: 'this token is limited to other routes', explanation: { route } })
    }
    if (required && !rightsMay(operator, required)) throw refuse('forbidden', { actor })
    return operator
  }
}

/** The operator with that API token, if it is live and the operator is enabled. */
export function findOperator(
  token: string,
  snapshot: Snapshot,
  now: Date,
): Extract<Caller, { kind: 'operator' }> | undefined {
  const row = tokenKind(token) === 'api' ? findApiToken(snapshot, hashToken(token), now) : undefined
  const operator = row && snapshot.operators.get(row.operator)
  if (!operator || operator.disabled) return undefined
  const bound = intersection(row.bound, operator.bound)
  return {
    kind: 'operator',
    operator: row.operator,
    role: row.role,
    operatorRole: operator.role,
    revision: operator.revision,
    ...(row.routes && { routes: row.routes }),
    ...(bound && { bound }),
    tokenId: row.id,
    firstUse: !row.used,
  }
}
