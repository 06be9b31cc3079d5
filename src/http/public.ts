/** Public routes: OIDC discovery, JWKS, SPIFFE bundle, root certificates, facts about the server, logins. */
import { type KeyObject, X509Certificate } from 'node:crypto'
import { loginsOf } from '../attest/logins.ts'
import type { Log } from '../audit/log.ts'
import { bundleSequence, trustedRoots } from '../keys/bundle.ts'
import { publicKeyOf, publishedKeys } from '../keys/keys.ts'
import type { KeyRow } from '../store/rows.ts'
import type { Snapshot } from '../store/snapshot.ts'
import { signingLogKeys } from '../audit/log-keys.ts'
import { json } from './request.ts'
import type { Read } from './route-kinds.ts'

export type PublicParts = {
  log: Pick<Log, 'epoch'>
  version: string
  audiences: readonly string[]
  features: readonly string[]
  /** Seconds for which clients may cache keys and bundle. */
  refresh: number
  now: () => Date
  operatorLogin?: { issuer: string; clientId: string; scopes: readonly string[]; caPem?: string }
}

const jwtKinds = ['jwt-es256', 'jwt-rs256'] as const

const jwkOf = (key: KeyObject): Record<string, unknown> => ({ ...key.export({ format: 'jwk' }) })
const jwtJwk = (row: KeyRow, use: 'sig' | 'jwt-svid'): Record<string, unknown> => ({
  ...jwkOf(publicKeyOf(row)),
  use,
  kid: row.id,
  alg: row.algorithm,
})

export const publicHeaders = (seconds: number): Record<string, string> => ({
  'cache-control': `public, max-age=${seconds}`,
  'access-control-allow-origin': '*',
  'cross-origin-resource-policy': 'cross-origin',
})

export function createPublicRoutes(parts: PublicParts) {
  const { now, log } = parts
  const cacheable = (): Record<string, string> => publicHeaders(parts.refresh)
  const jwtKeys = (snapshot: Snapshot): KeyRow[] => jwtKinds.flatMap((kind) => publishedKeys(snapshot, kind, now()))

  const openidConfiguration: Read = async (_, { issuer }) =>
    json(
      {
        issuer,
        jwks_uri: `${issuer}/keys`,
        // Required by OpenID Connect Discovery 1.0 section 3. Purser has no login, so this path answers 404.
        authorization_endpoint: `${issuer}/authorize`,
        response_types_supported: ['id_token'],
        subject_types_supported: ['public'],
        id_token_signing_alg_values_supported: ['RS256', 'ES256'],
        claims_supported: ['iss', 'sub', 'aud', 'exp', 'iat', 'nbf', 'jti'],
      },
      { headers: cacheable() },
    )

  const jwks: Read = async (_, snapshot) =>
    json({ keys: jwtKeys(snapshot).map((row) => jwtJwk(row, 'sig')) }, { headers: cacheable() })

  /** The SPIFFE bundle: one key for each root, then the JWT keys. */
  const bundle: Read = async (_, snapshot) => {
    const roots = publishedKeys(snapshot, 'root-ca', now()).map((row) => {
      const certificate = new X509Certificate(row.chain ?? '')
      return { ...jwkOf(certificate.publicKey), use: 'x509-svid', x5c: [certificate.raw.toString('base64')] }
    })
    const value = {
      keys: [...roots, ...jwtKeys(snapshot).map((row) => jwtJwk(row, 'jwt-svid'))],
      spiffe_sequence: bundleSequence(snapshot, now()),
      spiffe_refresh_hint: parts.refresh,
    }
    return json(value, { headers: cacheable() })
  }

  const caPem: Read = async (_, snapshot) => ({
    headers: cacheable(),
    body: { text: trustedRoots(snapshot, now()), type: 'application/pem-certificate-chain' },
  })

  const server: Read = async (_, snapshot) =>
    json({
      version: parts.version,
      trustDomain: snapshot.trustDomain,
      issuer: snapshot.issuer,
      audiences: parts.audiences,
      features: parts.features,
      logKeys: signingLogKeys(snapshot, log.epoch()),
      epoch: log.epoch(),
    })

  const logins: Read = async (_, snapshot) => {
    const { issuer, clientId, scopes, caPem } = parts.operatorLogin ?? {}
    const operators = issuer && { issuer, clientId, scopes, ...(caPem !== undefined && { caPem }) }
    return json({ items: loginsOf(snapshot.attestors.values()), ...(operators && { operators }) })
  }

  return { openidConfiguration, jwks, bundle, caPem, server, logins }
}
