/** This command as a public client (RFC 8252 section 8.4) of the issuer of a login: it has no secret. */
import type { Configuration } from 'openid-client'
import type { Schemas } from '../api-types.ts'
import { faultOf } from './faults.ts'
import { createFetch } from './https.ts'

export type Login = Schemas['LoginList']['items'][number]

export type Client = {
  login: Login
  configuration: Configuration
  oidc: typeof import('openid-client')
}

/** @throws CliError when the issuer cannot be reached, or its document is invalid */
export async function createClient(login: Login): Promise<Client> {
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
