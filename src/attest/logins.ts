/** The attestors at which a person may log in, and what a command must know to do it. */
import type { AttestorRow } from '../store/rows.ts'
import { type OidcDefinition, isOidc } from './oidc.ts'

export type Login = Pick<OidcDefinition, 'issuer' | 'caPem'> & {
  attestor: string
  /** The audience of an ID token is the client that requested it (OpenID Connect Core 1.0 section 2). */
  clientId: string
  scopes: readonly string[]
}

export function loginsOf(attestors: Iterable<Pick<AttestorRow, 'name' | 'definition'>>): Login[] {
  const logins: Login[] = []
  for (const { name, definition } of attestors) {
    if (!isOidc(definition) || !definition.login) continue
    const { issuer, audience, caPem, login } = definition
    const trust = caPem === undefined ? {} : { caPem }
    logins.push({ attestor: name, issuer, clientId: audience, scopes: login.scopes, ...trust })
  }
  return logins.toSorted((a, b) => (a.attestor < b.attestor ? -1 : 1))
}
