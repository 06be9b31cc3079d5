/** What was asked for, made and accounted for, by the rules of the real server. All of it, or nothing. */
import { hash, randomBytes } from 'node:crypto'
import type { Asked } from './asked.ts'
import type { Attested } from './attest.ts'
import type { Authority } from './authority.ts'
import type { JwtKeys } from './jwt-keys.ts'
import { Refusal } from './refusal.ts'
import { minLeftSeconds } from './entries.ts'

type IssueParts = { authority: Authority; jwtKeys: JwtKeys; issuer: string; now: () => Date }

/** RFC 3339 in UTC, without milliseconds where there are none. */
export const rfc3339 = (time: Date): string => time.toISOString().replace('.000Z', 'Z')

export function createIssue({ authority, jwtKeys, issuer, now }: IssueParts) {
  function endOf(wanted: number | undefined, max: number, ...ends: readonly Date[]): Date {
    const end = Math.min(now().getTime() + Math.min(wanted ?? max, max) * 1000, ...ends.map(Number))
    const whole = Math.floor(end / 1000) * 1000
    if (whole < now().getTime() + minLeftSeconds * 1000) throw new Refusal('expires_too_soon')
    return new Date(whole)
  }
  const renewAfter = (end: Date): string => {
    const half = now().getTime() + (end.getTime() - now().getTime()) / 2
    return rfc3339(new Date(Math.floor(half / 1000) * 1000))
  }

  function x509Of({ x509 }: Asked, { entry, session }: Attested) {
    if (!x509) return undefined
    const { subject, privateKey, dnsNames = entry.dnsNames, lifetimeSeconds } = x509
    const errors = dnsNames.flatMap((name, n) =>
      entry.dnsNames.includes(name) ? [] : [{ pointer: `/x509/dnsNames/${n}`, detail: 'this name is not granted' }],
    )
    if (errors.length > 0) throw new Refusal('not_granted', { errors })
    const notAfter = endOf(lifetimeSeconds, entry.lifetimeSeconds, session.expiresAt, authority.issuingEnd())
    const rsa = subject.key.asymmetricKeyType === 'rsa'
    const { spiffeId } = entry
    const { chain, der, serialNumber, caId } = authority.sign(
      { spki: subject.spki, rsa, spiffeId, dnsNames: [...new Set(dnsNames)], notAfter },
      now(),
    )
    return {
      until: notAfter,
      reply: {
        certificateChain: chain,
        trustBundle: authority.roots(),
        ...(privateKey && { privateKey: String(privateKey.export({ type: 'pkcs8', format: 'pem' })) }),
        serialNumber,
        notAfter: rfc3339(notAfter),
        renewAfter: renewAfter(notAfter),
      },
      record: {
        serialNumber,
        sha256: hash('sha256', der),
        publicKeySha256: hash('sha256', subject.spki),
        notAfter: rfc3339(notAfter),
        keyId: caId,
        ...(dnsNames.length > 0 && { dnsNames: [...dnsNames] }),
      },
    }
  }

  function jwtOf({ audience, lifetimeSeconds }: Asked['jwts'][number], n: number, { entry, session }: Attested) {
    const errors = audience.flatMap((one, m) =>
      entry.audiences?.includes(one) === false
        ? [{ pointer: `/jwts/${n}/audience/${m}`, detail: 'this audience is not granted' }]
        : [],
    )
    if (errors.length > 0) throw new Refusal('not_granted', { errors })
    const end = endOf(lifetimeSeconds, entry.jwtLifetimeSeconds, session.expiresAt)
    const at = Math.floor(now().getTime() / 1000)
    const jti = randomBytes(16).toString('hex')
    const exp = end.getTime() / 1000
    const { token, kid } = jwtKeys.sign({
      iss: issuer,
      sub: entry.spiffeId,
      aud: audience,
      iat: at,
      nbf: at,
      exp,
      jti,
    })
    const expiresAt = rfc3339(end)
    return {
      until: end,
      reply: { audience, token, jti, expiresAt, renewAfter: renewAfter(end) },
      record: { jti, audience, expiresAt, keyId: kid },
    }
  }

  function accessTokenOf({ accessToken }: Asked, { session }: Attested) {
    if (!accessToken) return undefined
    const until = endOf(accessToken.lifetimeSeconds, 3600, session.expiresAt)
    const token = `purser_at_${randomBytes(32).toString('base64url')}`
    const record = { id: `tok_${randomBytes(16).toString('hex')}`, expiresAt: rfc3339(until) }
    return { until, reply: { token, ...record }, record }
  }

  return (asked: Asked, attested: Attested) => ({
    x509: x509Of(asked, attested),
    jwts: asked.jwts.map((jwt, n) => jwtOf(jwt, n, attested)),
    accessToken: accessTokenOf(asked, attested),
  })
}
