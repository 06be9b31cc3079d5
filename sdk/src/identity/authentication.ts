import type { HeldCredentials } from '../renewal/held-credentials.ts'
import type { Identity } from './identity.ts'
import type { Request } from '../connection/http.ts'

/** The credential that this client presents to Purser; undefined if it has none. */
export type Authentication = () => Pick<Request, 'as' | 'bearer'> | undefined

/** Prefers the access token, which also works where TLS ends in front of Purser. */
export const createAuthentication =
  (held: Pick<HeldCredentials, 'accessToken'>, identity: Pick<Identity, 'live'>, now: () => number): Authentication =>
  () => {
    const accessToken = held.accessToken()
    if (accessToken && accessToken.expiresAt.getTime() > now()) return { bearer: accessToken.token }
    const x509 = identity.live()
    if (!x509 || x509.notAfter.getTime() <= now()) return undefined
    return { as: { key: x509.privateKey, cert: x509.certificateChain } }
  }
