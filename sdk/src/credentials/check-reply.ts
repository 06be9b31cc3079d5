/** Checks that the answer is what was requested, and usable, independently of its receipt. */
import type { KeyObject, X509Certificate } from 'node:crypto'
import { readCertificates, urisOf } from '../certificates/certificates.ts'
import { rolesFault as faultInRoles } from './role.ts'
import { PurserError } from '../errors.ts'
import { claimsOf } from '../json/parse.ts'
import type { CredentialsReply, JwtReply, X509Reply } from './reply.ts'
import { secretsFault } from './secret.ts'
import type { Selection } from './settings.ts'

const wrong = (why: string): PurserError =>
  new PurserError('bad_reply', `the server's answer is not usable and was discarded: ${why}`)

type Context = {
  selection: Selection
  trustDomain: string
  /** The certificate's key, if a certificate was requested. */
  key: KeyObject | undefined
  now: Date
  /** The Date header of the answer. */
  serverTime: string | undefined
}

/**
 * @returns the leaf certificate, if one was requested
 * @throws PurserError `bad_reply`
 */
export function checkReply(reply: CredentialsReply, context: Context): X509Certificate | undefined {
  const { selection, trustDomain, key } = context
  if (!reply.spiffeId.startsWith(`spiffe://${trustDomain}/`)) {
    throw wrong(`the SPIFFE ID is not of the trust domain ${trustDomain}`)
  }
  if ((reply.x509 !== undefined) !== (selection.x509 !== undefined))
    throw wrong('a certificate is missing or was not requested')
  if ((reply.accessToken !== undefined) !== (selection.accessToken !== undefined)) {
    throw wrong('an access token is missing or was not requested')
  }
  const audiences = reply.jwts.map(({ audience }) => audience.join(' '))
  if (audiences.length !== selection.jwts.length || selection.jwts.some((jwt) => !audiences.includes(jwt))) {
    throw wrong('the JWTs are not for the requested audiences')
  }
  const fault =
    secretsFault(reply.secrets, selection.secrets ?? []) ?? faultInRoles(reply.databases, selection.databases ?? [])
  if (fault !== undefined) throw wrong(fault)
  for (const jwt of reply.jwts) checkJwt(jwt, reply.spiffeId, context)
  return reply.x509 && key && checkX509(reply.x509, key, reply.spiffeId, context)
}

function checkX509(x509: X509Reply, key: KeyObject, spiffeId: string, context: Context): X509Certificate {
  const chain = readCertificates(x509.certificateChain)
  const roots = readCertificates(x509.trustBundle)
  const [leaf] = chain ?? []
  if (!chain || !leaf || !roots) throw wrong('certificate chain or trust bundle is not readable PEM')
  if (!leaf.checkPrivateKey(key)) throw wrong("the certificate is not for this process's key")
  const uris = urisOf(leaf)
  if (uris.length !== 1 || uris[0] !== spiffeId) throw wrong('the certificate has another SPIFFE ID than the answer')
  chain.forEach((certificate, n) => {
    if (new Date(certificate.validTo) <= context.now)
      throw expired('a certificate of the chain', new Date(certificate.validTo), context)
    const above = n + 1 < chain.length ? chain.slice(n + 1, n + 2) : roots
    if (!above.some((issuer) => issuer.ca && certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey))) {
      throw wrong('the certificate chain does not lead to the trust bundle')
    }
  })
  if (new Date(leaf.validTo).getTime() !== x509.notAfter.getTime())
    throw wrong('notAfter is not the end of the certificate')
  return leaf
}

function checkJwt(jwt: JwtReply, spiffeId: string, context: Context): void {
  const claims = claimsOf(jwt.token)
  if (!claims) throw wrong('a JWT is malformed')
  const audience = Array.isArray(claims.aud) ? claims.aud : [claims.aud]
  const same =
    claims.sub === spiffeId &&
    claims.jti === jwt.jti &&
    claims.exp === Math.floor(jwt.expiresAt.getTime() / 1000) &&
    audience.join(' ') === jwt.audience.join(' ')
  if (!same) throw wrong('the claims of a JWT contradict the answer')
  if (jwt.expiresAt <= context.now) throw expired('a JWT', jwt.expiresAt, context)
}

const expired = (what: string, end: Date, { now, serverTime }: Context): PurserError =>
  wrong(
    `${what} expired at ${end.toISOString()}; this machine's clock says ${now.toISOString()}, the server's ${serverTime ?? 'nothing'}`,
  )
