/** A login with an ID token of the configured OpenID provider, for which this server issued the nonce. */
import type { VerifyIdToken } from '../../attest/id-token.ts'
import { readProofText } from '../../attest/proof-text.ts'
import { Refusal, refuse } from '../../errors.ts'
import type { Keys } from '../../keys/keys.ts'
import { hasVerifier, newNonce, nonceClaim, nonceEnd } from '../../operators/nonces.ts'
import { narrowest } from '../../operators/rights.ts'
import { type MappingRules, mapClaims } from '../../operators/role-mappings.ts'
import { takeClaim } from '../../store/claims.ts'
import { pinIdentity } from '../../store/identities.ts'
import type { OperatorRow, Role } from '../../store/rows.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import type { ChangeAction } from '../context.ts'
import type { CreatedToken } from '../tokens/new-api-token.ts'
import { type SessionParts, newSession } from './new-session.ts'

/** The login at an OpenID provider, as it is configured. */
export type OidcLogin = MappingRules & { verify: VerifyIdToken }

export type IdTokenLogin = {
  idToken: string
  /** The secret behind the nonce. */
  verifier: string
  lifetimeSeconds?: number
  isBrowser?: boolean
}

/** A login whose ID token is right. Its nonce is used up in the transaction. */
export type VerifiedIdToken = Pick<IdTokenLogin, 'lifetimeSeconds' | 'isBrowser'> & {
  issuer: string
  subject: string
  operator: string
  role: Role
  by: string
  nonce: { key: Buffer; until: Date }
}

export type IdTokenParts = SessionParts & { keys: Pick<Keys, 'signing'>; oidcLogin?: OidcLogin }

const purpose = { kind: 'login nonce' } as const

const refused = (cause: string, operator?: string): Error =>
  refuse('unauthenticated', { explanation: { ...(operator !== undefined && { operator }), cause } })

/** @throws Refusal `not_found` where no provider is configured */
export const createIssueNonce =
  ({ keys, oidcLogin }: IdTokenParts) =>
  (snapshot: Snapshot, challenge: string, now: Date) => {
    if (!oidcLogin) throw refuse('not_found', { detail: 'no OpenID login of operators is configured' })
    return newNonce(keys.signing(snapshot, 'mac', now).key, purpose, challenge, now)
  }

export function createVerifyIdTokenLogin({ keys, oidcLogin }: IdTokenParts) {
  async function verify(snapshot: Snapshot, { idToken, verifier, ...login }: IdTokenLogin, now: Date) {
    if (!oidcLogin) throw refused('no OpenID login is configured')
    const proof = readProofText(idToken)
    const { nonce } = proof.claims
    const until = nonceEnd(keys.signing(snapshot, 'mac', now).key, purpose, nonce, now)
    if (!until || !hasVerifier(nonce, verifier)) throw refused('the nonce is not of this login')
    const { claims, subject } = await oidcLogin.verify(proof, now)
    const mapped = mapClaims(claims, oidcLogin)
    if ('fault' in mapped) throw refused(mapped.fault)
    const { name, role, by } = mapped
    const key = nonceClaim(String(nonce))
    return { ...login, issuer: oidcLogin.issuer, subject, operator: name, role, by, nonce: { key, until } }
  }

  /** @throws Refusal `unauthenticated` for every reason, which the log has; `unavailable` where the keys are */
  return async (snapshot: Snapshot, login: IdTokenLogin, now: Date): Promise<VerifiedIdToken> => {
    try {
      return await verify(snapshot, login, now)
    } catch (error) {
      if (error instanceof Refusal && error.code.startsWith('proof_')) throw refused(error.code)
      throw error
    }
  }
}

/** Creates a session with a role that the mapping and the operator both cover. */
export const createIdTokenLogin =
  (parts: SessionParts): ChangeAction<VerifiedIdToken, CreatedToken> =>
  async ({ time: now }, tx, snapshot, { nonce, issuer, subject, ...login }) => {
    const { operator: name, by } = login
    const operator = usable(snapshot, name)
    const role = narrowest([login.role, operator.role])
    if (!role) throw refused('the role of the operator does not cover that of the mapping', name)
    if (!(await takeClaim(tx, nonce.key, { now, until: nonce.until }))) throw refused('the nonce was used before', name)
    const pinned = await pinIdentity(tx, operator.id, { issuer, subject }, now)
    if (pinned.issuer !== issuer || pinned.subject !== subject) throw refused('another person has this name now', name)
    const { lifetimeSeconds, isBrowser } = login
    const session = { operator, role, createdAt: now, loginBy: by, lifetimeSeconds, isBrowser }
    return newSession(parts, tx, snapshot, session, { mapping: by, subject })
  }

function usable({ operators }: Snapshot, name: string): OperatorRow {
  const operator = operators.get(name)
  if (operator && !operator.disabled) return operator
  throw refused(operator ? 'disabled' : 'no such operator', name)
}
