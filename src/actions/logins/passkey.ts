/** A login with a passkey, which needs neither name nor password. Every refusal is the same to the caller. */
import { refuse } from '../../errors.ts'
import type { Keys } from '../../keys/keys.ts'
import { hasVerifier, newNonce, nonceClaim, nonceEnd } from '../../operators/nonces.ts'
import { type AssertionResponse, challengeIn, requestOptions, verifyAssertion } from '../../operators/passkeys.ts'
import { takeClaim } from '../../store/claims.ts'
import type { Database } from '../../store/database.ts'
import { type PasskeyRow, findPasskey, usePasskey } from '../../store/passkeys.ts'
import { rememberAddress } from '../../store/passwords.ts'
import type { OperatorRow } from '../../store/rows.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import type { ChangeAction } from '../context.ts'
import { type SiteParts, causeOf, credentialHash, siteOf } from '../passkeys/state.ts'
import type { CreatedToken } from '../tokens/new-api-token.ts'
import { type SessionParts, newSession } from './new-session.ts'
import type { LoginTries } from './tries.ts'

export type PasskeyLogin = {
  credential: AssertionResponse
  /** The secret behind the challenge. */
  verifier: string
  /** Of the caller's address. */
  prefix: string
  lifetimeSeconds?: number
  isBrowser?: boolean
}

/** A login whose assertion is right. Its challenge is used up in the transaction. */
type VerifiedPasskey = Pick<PasskeyLogin, 'prefix' | 'lifetimeSeconds' | 'isBrowser'> & {
  operator: string
  passkey: PasskeyRow
  nextCounter: number
  nonce: { key: Buffer; until: Date }
}

export type PasskeyParts = SessionParts &
  SiteParts & { db: Pick<Database, 'knex'>; keys: Pick<Keys, 'signing'>; tries: LoginTries }

const purpose = { kind: 'passkey login' } as const

const refused = (cause: string, more: { operator?: string; credential?: string } = {}): Error =>
  refuse('unauthenticated', { explanation: { ...more, cause } })

export type RequestOptions = { options: ReturnType<typeof requestOptions>; expiresAt: Date }

/** @throws Refusal `not_found` where passkeys are off */
export const createIssuePasskeyOptions =
  (parts: PasskeyParts) =>
  (snapshot: Snapshot, challenge: string, now: Date): RequestOptions => {
    const site = siteOf(parts)
    const { nonce, expiresAt } = newNonce(parts.keys.signing(snapshot, 'mac', now).key, purpose, challenge, now)
    return { options: requestOptions(site, nonce), expiresAt }
  }

export function createVerifyPasskeyLogin({ db, keys, tries, passkeySite: site }: PasskeyParts) {
  function challengeOf(snapshot: Snapshot, { credential, verifier }: PasskeyLogin, now: Date) {
    const nonce = challengeIn(credential)
    const until = nonceEnd(keys.signing(snapshot, 'mac', now).key, purpose, nonce, now)
    if (!until || !hasVerifier(nonce, verifier)) throw refused('the challenge is not of this login, or has ended')
    return { key: nonceClaim(nonce), until }
  }

  /** @throws Refusal `unauthenticated` for every reason, which the log has; `rate_limited` */
  return async (snapshot: Snapshot, login: PasskeyLogin, now: Date): Promise<VerifiedPasskey> => {
    if (!site) throw refused('passkeys are off')
    const { credential, prefix } = login
    const { takeBack } = await tries.admitPasskey(prefix)
    const facts: { operator?: string; credential?: string } = {}
    try {
      const nonce = challengeOf(snapshot, login, now)
      const credentialId = Buffer.from(credential.id, 'base64url')
      facts.credential = credentialHash(credentialId)
      const passkey = await findPasskey(db.knex, credentialId)
      if (!passkey) throw refused('no such passkey', facts)
      const operator = ownerOf(snapshot, passkey)
      facts.operator = operator.name
      const nextCounter = await verifyAssertion(site, credential, passkey)
      if (!isUsable(operator)) throw refused('disabled', facts)
      await takeBack()
      const { credential: _, verifier: __, ...rest } = login
      return { ...rest, operator: operator.name, passkey, nextCounter, nonce }
    } catch (error) {
      throw refused(causeOf(error), facts)
    }
  }
}

/** Creates a session with the role of the operator and all routes. */
export const createPasskeyLogin =
  (parts: SessionParts): ChangeAction<VerifiedPasskey, CreatedToken> =>
  async ({ time: now }, tx, snapshot, { passkey, nextCounter, nonce, prefix, operator: name, ...login }) => {
    const credential = credentialHash(passkey.credentialId)
    const refusedNow = (cause: string): Error => refused(cause, { operator: name, credential })
    const operator = snapshot.operators.get(name)
    if (operator?.id !== passkey.operatorId || !isUsable(operator)) throw refusedNow('changed during the login')
    if (!(await takeClaim(tx, nonce.key, { now, until: nonce.until })))
      throw refusedNow('the challenge was used before')
    if (!(await usePasskey(tx, passkey, nextCounter, now))) throw refusedNow('changed during the login')
    await rememberAddress(tx, operator.id, prefix, now)
    const { lifetimeSeconds, isBrowser } = login
    const session = { operator, role: operator.role, createdAt: now, lifetimeSeconds, isBrowser }
    return newSession(parts, tx, snapshot, session, { passkey: passkey.id, credential })
  }

function ownerOf({ operators }: Snapshot, { operatorId }: PasskeyRow): OperatorRow {
  const owner = [...operators.values()].find(({ id }) => id === operatorId)
  if (owner) return owner
  throw refused('no such operator')
}

/** Passkeys are removed with the password. */
const isUsable = ({ disabled, passwordAt }: OperatorRow): boolean => !disabled && passwordAt !== undefined
