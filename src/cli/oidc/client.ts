/** This command as a public client (RFC 8252 section 8.4) of the issuer of a login: it has no secret. */
import type { Configuration } from 'openid-client'
import type { Schemas } from '../api-types.ts'
import { faultOf } from './faults.ts'
import { createFetch } from './https.ts'

export type Login = Schemas['LoginList']['items'][number]

export type Client = {
  login: Omit<Login, 'attestor'>
  configuration: Configuration
  oidc: typeof import('openid-client')
}

export type LoginRequest = {
  client: Client
  /** Returned in the ID token: always for a code, and for a device code by issuers that support it. */
  nonce: string
  /** Refuses an ID token without the nonce. */
  needsNonce?: true
  signal: AbortSignal
}

/** @throws CliError when the issuer cannot be reached, or its document is invalid */
export async function createClient(login: Client['login']): Promise<Client> {
  // Loaded on demand, so that other verbs start faster.
  const oidc = await import('openid-client')
  const options = { [oidc.customFetch]: createFetch(login.caPem), timeout: 15 }
  try {
    const issuer = new URL(login.issuer)
    const configuration = await oidc.discovery(issuer, login.clientId, undefined, oidc.None(), options)
    return { login, configuration, oidc }
  } catch (error) {
    throw faultOf(error, login)
  }
}
