import type { Held } from '../renewal/held-credentials.ts'
import type { Identity } from './identity.ts'
import type { Request } from '../connection/http.ts'

/** What this client is known by where it asks Purser something. */
export type Credential = () => Pick<Request, 'as' | 'bearer'> | undefined

/** The access token, which also passes where TLS ends before Purser, else the certificate, else nothing. */
export const createCredential =
  (held: Pick<Held, 'accessToken'>, identity: Pick<Identity, 'live'>, now: () => number): Credential =>
  () => {
    const accessToken = held.accessToken()
    if (accessToken && accessToken.expiresAt.getTime() > now()) return { bearer: accessToken.token }
    const x509 = identity.live()
    if (!x509 || x509.notAfter.getTime() <= now()) return undefined
    return { as: { key: x509.privateKey, cert: x509.certificateChain } }
  }
