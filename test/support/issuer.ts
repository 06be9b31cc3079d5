/** A stand-in orchestrator: an issuer with inline keys, and tokens with the claims of the test. */
import { type KeyObject, generateKeyPairSync, randomUUID } from 'node:crypto'
import { SignJWT, exportJWK } from 'jose'
import { audience, type TestPurser } from './purser.ts'

export type Issuer = {
  issuer: string
  privateKey: KeyObject
  jwk: Record<string, unknown>
  /** A valid token, except for changes by `claims` and `header`. `undefined` members are left out. */
  token(claims?: Record<string, unknown>, header?: Record<string, unknown>): Promise<string>
}

export async function createIssuer(
  issuer = 'https://issuer.lab.example',
  kid = 'k1',
  alg: 'ES256' | 'RS256' = 'ES256',
): Promise<Issuer> {
  const { publicKey, privateKey } =
    alg === 'ES256'
      ? generateKeyPairSync('ec', { namedCurve: 'P-256' })
      : generateKeyPairSync('rsa', { modulusLength: 2048 })
  const jwk = { ...(await exportJWK(publicKey)), kid, alg, use: 'sig' }
  return {
    issuer,
    privateKey,
    jwk,
    token(claims = {}, header = {}) {
      const now = Math.floor(Date.now() / 1000)
      const payload = { iss: issuer, aud: audience, sub: 'web', iat: now, exp: now + 600, jti: randomUUID(), ...claims }
      const definedClaims = Object.fromEntries(Object.entries(payload).filter(([, value]) => value !== undefined))
      return new SignJWT(definedClaims).setProtectedHeader({ alg, kid, ...header }).sign(privateKey)
    },
  }
}

/** Registers the issuer as attestor `lab`, and one workload `web` for its subject. */
export async function registerLab(
  purser: TestPurser,
  issuer: Issuer,
  more: Record<string, unknown> = {},
): Promise<void> {
  await purser.asAdmin('POST', '/api/v1/attestors', {
    name: 'lab',
    kind: 'oidc',
    issuer: issuer.issuer,
    audience,
    keys: { jwks: { keys: [issuer.jwk] } },
    ...more,
  })
  await purser.asAdmin('POST', '/api/v1/workloads', {
    name: 'web',
    attestor: 'lab',
    match: { 'oidc:sub': 'web' },
    spiffeId: 'spiffe://example.org/lab/web',
    grants: {
      x509: { dnsNames: ['web.lab'], maxLifetimeSeconds: 3600 },
      jwt: { audiences: ['payments', { audience: 'cloud', alg: 'RS256' }], maxLifetimeSeconds: 300 },
    },
    maxSessionSeconds: 7200,
  })
}
