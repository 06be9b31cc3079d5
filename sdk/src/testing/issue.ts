/** Creates the credentials of a request by the rules of the real server: all of them, or a refusal. */
import { hash, randomBytes } from 'node:crypto'
import type { Attested } from './attestation.ts'
import type { Authority } from './authority.ts'
import type { CredentialsRequest } from './credentials-request.ts'
import { minLeftSeconds } from './entries.ts'
import { newId, rfc3339 } from './format.ts'
import type { JwtKeys } from './jwt-keys.ts'
import { Refusal, refuseItems } from './refusal.ts'

type Parts = { authority: Authority; jwtKeys: JwtKeys; issuer: string; now: () => Date }

/** Each credential as the answer holds it (`reply`) and as the log's entry names it (`issued`). */
export function createIssue({ authority, jwtKeys, issuer, now }: Parts) {
  const wholeSeconds = (ms: number): Date => new Date(Math.floor(ms / 1000) * 1000)

  function endOf(requestedSeconds: number | undefined, maxSeconds: number, ...ends: readonly Date[]): Date {
    const seconds = Math.min(requestedSeconds ?? maxSeconds, maxSeconds)
    const end = wholeSeconds(Math.min(now().getTime() + seconds * 1000, ...ends.map(Number)))
    if (end.getTime() < now().getTime() + minLeftSeconds * 1000) throw new Refusal('expires_too_soon')
    return end
  }
  const renewAfter = (end: Date): string => rfc3339(wholeSeconds((now().getTime() + end.getTime()) / 2))

  function x509For({ x509 }: CredentialsRequest, { entry, session }: Attested) {
    if (!x509) return undefined
    const { subject, privateKey, dnsNames = entry.dnsNames, lifetimeSeconds } = x509
    const isRefused = (name: string): boolean => !entry.dnsNames.includes(name)
    refuseItems('not_granted', 'this name is not granted', '/x509/dnsNames', dnsNames, isRefused)
    const until = endOf(lifetimeSeconds, entry.lifetimeSeconds, session.expiresAt, authority.issuingEnd())
    const notAfter = rfc3339(until)
    const rsa = subject.key.asymmetricKeyType === 'rsa'
    const { spiffeId } = entry
    const { chain, der, serialNumber, caId } = authority.sign(
      { spki: subject.spki, rsa, spiffeId, dnsNames: [...new Set(dnsNames)], notAfter: until },
      now(),
    )
    return {
      until,
      reply: {
        certificateChain: chain,
        trustBundle: authority.roots(),
        ...(privateKey && { privateKey: String(privateKey.export({ type: 'pkcs8', format: 'pem' })) }),
        serialNumber,
        notAfter,
        renewAfter: renewAfter(until),
      },
      issued: {
        serialNumber,
        sha256: hash('sha256', der),
        publicKeySha256: hash('sha256', subject.spki),
        notAfter,
        keyId: caId,
        ...(dnsNames.length > 0 && { dnsNames: [...dnsNames] }),
      },
    }
  }

  function jwtFor(request: CredentialsRequest['jwts'][number], n: number, { entry, session }: Attested) {
    const { audience, lifetimeSeconds } = request
    const isRefused = (name: string): boolean => entry.audiences?.includes(name) === false
    refuseItems('not_granted', 'this audience is not granted', `/jwts/${n}/audience`, audience, isRefused)
    const until = endOf(lifetimeSeconds, entry.jwtLifetimeSeconds, session.expiresAt)
    const iat = Math.floor(now().getTime() / 1000)
    const jti = randomBytes(16).toString('hex')
    const claims = { iss: issuer, sub: entry.spiffeId, aud: audience, iat, nbf: iat, exp: until.getTime() / 1000, jti }
    const { token, kid } = jwtKeys.sign(claims)
    const expiresAt = rfc3339(until)
    return {
      until,
      reply: { audience, token, jti, expiresAt, renewAfter: renewAfter(until) },
      issued: { jti, audience, expiresAt, keyId: kid },
    }
  }

  function accessTokenFor({ accessToken }: CredentialsRequest, { session }: Attested) {
    if (!accessToken) return undefined
    const until = endOf(accessToken.lifetimeSeconds, 3600, session.expiresAt)
    const token = `purser_at_${randomBytes(32).toString('base64url')}`
    const issued = { id: newId('tok'), expiresAt: rfc3339(until) }
    return { until, reply: { token, ...issued }, issued }
  }

  return (request: CredentialsRequest, attested: Attested) => ({
    x509: x509For(request, attested),
    jwts: request.jwts.map((jwt, n) => jwtFor(jwt, n, attested)),
    accessToken: accessTokenFor(request, attested),
  })
}
