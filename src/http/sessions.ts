/** Login sessions of operators: a token for a command line, or a cookie for a browser. */
import type { Actions } from '../actions/actions.ts'
import { maxSessionSeconds } from '../actions/logins/create.ts'
import { refuse } from '../errors.ts'
import { addressPrefix } from './address-prefix.ts'
import { rendered } from './rendered.ts'
import { bodyOf, json, noContent } from './request.ts'
import type { ChangeState, PrepareChange } from './route-kinds.ts'
import { endedCookie, sessionCookie } from './session-cookie.ts'

export function createSessionRoutes({ logins }: Pick<Actions, 'logins'>): { create: PrepareChange; end: ChangeState } {
  return {
    async create(request) {
      const { cookie, ...body } = bodyOf(request, 'login')
      // Another site must not log its visitors in here.
      if (request.isForeign()) throw refuse('forbidden', { detail: 'a page of another origin cannot log in' })
      const login = await logins.verify(request, { ...body, prefix: addressPrefix(request.address) })
      const maxAge = body.lifetimeSeconds ?? maxSessionSeconds
      return async (_, tx, snapshot) =>
        rendered(await logins.create(request, tx, snapshot, login), ({ token, ...session }) =>
          cookie
            ? json(session, { status: 201, headers: sessionCookie(token, maxAge) })
            : json({ ...session, token }, { status: 201 }),
        )
    },

    end: async (request, tx, snapshot) =>
      rendered(await logins.end(request, tx, snapshot, undefined), () => ({ ...noContent, headers: endedCookie })),
  }
}
