/** Login sessions of operators: a token for a command line, or a cookie for a browser. */
import type { Actions } from '../actions/actions.ts'
import type { CreatedToken } from '../actions/tokens/new-api-token.ts'
import type { Change } from '../audit/record.ts'
import { maxSessionSeconds } from '../actions/logins/new-session.ts'
import { refuse } from '../errors.ts'
import { addressPrefix } from './address-prefix.ts'
import { rendered } from './rendered.ts'
import { type ApiRequest, bodyOf, json, noContent } from './request.ts'
import { rfc3339 } from '../issue/lifetime.ts'
import type { ChangeState, PrepareChange, Read } from './route-kinds.ts'
import { endedCookie, sessionCookie } from './session-cookie.ts'

type Routes = Record<'nonce' | 'passkeyOptions', Read> &
  Record<'create' | 'createByIdToken' | 'createByPasskey', PrepareChange> & { end: ChangeState }
type Created = Promise<Change<CreatedToken>>
type Options = { cookie?: boolean; lifetimeSeconds?: number }

export function createSessionRoutes({ logins }: Pick<Actions, 'logins'>): Routes {
  return {
    async nonce(request, snapshot) {
      const { challenge } = bodyOf(request, 'issueLoginNonce')
      const { nonce, expiresAt } = logins.issueNonce(snapshot, challenge, request.time)
      return json({ nonce, expiresAt: rfc3339(expiresAt) })
    },

    async create(request) {
      refuseForeign(request)
      const body = bodyOf(request, 'login')
      const { cookie: isBrowser = false, ...rest } = body
      const login = await logins.verify(request, { ...rest, isBrowser, prefix: addressPrefix(request.address) })
      return async (_, tx, snapshot) => sessionReply(body, logins.create(request, tx, snapshot, login))
    },

    async createByIdToken(request, current) {
      refuseForeign(request)
      const body = bodyOf(request, 'loginAtProvider')
      const { cookie: isBrowser = false, ...rest } = body
      const login = await logins.verifyIdToken(current, { ...rest, isBrowser }, request.time)
      return async (_, tx, snapshot) => sessionReply(body, logins.createByIdToken(request, tx, snapshot, login))
    },

    async passkeyOptions(request, snapshot) {
      const { challenge } = bodyOf(request, 'issuePasskeyOptions')
      const { options, expiresAt } = logins.issuePasskeyOptions(snapshot, challenge, request.time)
      return json({ publicKey: options, expiresAt: rfc3339(expiresAt) })
    },

    async createByPasskey(request, current) {
      refuseForeign(request)
      const body = bodyOf(request, 'loginWithPasskey')
      const { cookie: isBrowser = false, ...rest } = body
      const prefix = addressPrefix(request.address)
      const login = await logins.verifyPasskey(current, { ...rest, isBrowser, prefix }, request.time)
      return async (_, tx, snapshot) => sessionReply(body, logins.createByPasskey(request, tx, snapshot, login))
    },

    end: async (request, tx, snapshot) =>
      rendered(await logins.end(request, tx, snapshot, undefined), () => ({ ...noContent, headers: endedCookie })),
  }
}

/** Another site must not log its visitors in here. */
function refuseForeign(request: ApiRequest): void {
  if (request.isForeign()) throw refuse('forbidden', { detail: 'a page of another origin cannot log in' })
}

/** The token is in the reply, or in the cookie. */
const sessionReply = async ({ cookie, lifetimeSeconds = maxSessionSeconds }: Options, created: Created) =>
  rendered(await created, ({ token, ...session }) =>
    cookie
      ? json(session, { status: 201, headers: sessionCookie(token, lifetimeSeconds) })
      : json({ ...session, token }, { status: 201 }),
  )
