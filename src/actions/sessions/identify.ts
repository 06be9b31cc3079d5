/** Identifies the caller by the one credential that it presents: a bearer token, or a client certificate. */
import type { AccountCaller, Caller, OperatorCaller } from '../../authorize/caller.ts'
import type { ClientCertificate } from '../../authorize/client-certificate.ts'
import { workloadOperator } from '../../authorize/workload-operator.ts'
import { refuse } from '../../errors.ts'
import { intersection } from '../../names/bound.ts'
import { hashToken, tokenKind } from '../../names/token.ts'
import { findApiToken } from '../../operators/api-tokens.ts'
import {
  type OperatorPermission,
  type Permission,
  isOperatorPermission,
  needsPerson,
  operatorPermission,
} from '../../operators/permissions.ts'
import { mayCall, rightsMay } from '../../operators/rights.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import { actorOf } from '../context.ts'
import type { BootstrapTries } from '../tokens/bootstrap-tries.ts'
import { workloadMayNot } from '../tokens/rights.ts'
import type { FindSession } from './find.ts'

type WorkloadSession = Extract<Caller, { kind: 'session' }>

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
    const find = mayUseCache ? sessions.cached : sessions
    const required = operatorPermission(permission)
    // A workload acts as itself wherever its own grants count, and as an operator on the other routes of operators.
    const isOfOperators = isOperatorPermission(permission)

    const inRole = (session: WorkloadSession | undefined): Caller | undefined => {
      if (!session || !isOfOperators) return session
      const caller = workloadOperator(snapshot, session)
      if (caller) checkRights(caller, permission, route)
      return caller
    }

    if (token === undefined) {
      const presented = permission === 'bootstrap' ? undefined : certificate()
      const credential = presented && (await find.byCertificate(presented, snapshot, now))
      return inRole(
        credential && { kind: 'session', session: credential.session, credential, until: presented.notAfter },
      )
    }
    const kind = tokenKind(token)
    if (kind === undefined) return undefined
    const hash = hashToken(token)
    if (permission === 'bootstrap') {
      if (kind !== 'boot') throw refuse('token_type')
      await bootstrapTries.admit(hash)
      return { kind: 'bootstrap', hash }
    }
    if (kind === 'at') {
      const credential = await find.byAccessToken(hash, snapshot, now)
      const caller = inRole(
        credential && { kind: 'session', session: credential.session, credential, until: credential.until },
      )
      if (!caller && isOfOperators) throw refuse('token_type')
      return caller
    }
    if (kind !== 'api' || !acceptsApiTokens) throw refuse('token_type')
    const operator = findOperator(token, snapshot, now)
    if (!operator) return undefined
    const { loginBy } = snapshot.apiTokens.get(operator.tokenId) ?? {}
    if (loginBy !== undefined && !hasMapping(loginBy)) return undefined
    checkRights(operator, required, route)
    return operator
  }
}

/** @throws Refusal `forbidden` */
function checkRights(caller: OperatorCaller, required: OperatorPermission | undefined, route: string): void {
  const actor = { ...actorOf(caller) }
  if (caller.session && required && needsPerson(required)) {
    throw refuse('forbidden', { actor, detail: workloadMayNot })
  }
  if (!mayCall(caller, route)) {
    const detail = `this ${caller.session ? 'grant' : 'token'} is limited to other routes`
    throw refuse('forbidden', { actor, detail, explanation: { route } })
  }
  if (required && !rightsMay(caller, required)) throw refuse('forbidden', { actor })
}

/** The operator with that API token, if it is live and the operator is enabled. */
export function findOperator(token: string, snapshot: Snapshot, now: Date): AccountCaller | undefined {
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
