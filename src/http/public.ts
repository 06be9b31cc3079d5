/** What anyone may read: discovery, keys, the bundle, the root, and the log's hashes. */
import type { KeyObject } from 'node:crypto'
import { X509Certificate } from 'node:crypto'
import { type Log, originOf } from '../audit/log.ts'
import { parseTilePath } from '../audit/tiles.ts'
import { refuse } from '../errors.ts'
import { logVkey, publicKeyOf, publishedKeys } from '../keys/keys.ts'
import { readLeaves } from '../store/log.ts'
import type { Database } from '../store/database.ts'
import type { KeyRow } from '../store/rows.ts'
import type { Snapshot } from '../store/snapshot.ts'
import { type Reply, json } from './request.ts'
import type { Read } from './route.ts'

export type PublicParts = {
  db: Pick<Database, 'knex'>
  log: Pick<Log, 'epoch' | 'size' | 'checkpoint' | 'tree'>
  version: string
  audiences: readonly string[]
  features: readonly string[]
  /** Seconds that readers may keep keys and bundle. */
  refresh: number
  now: () => Date
}

const jwtKinds = ['jwt-es256', 'jwt-rs256'] as const

const jwkOf = (key: KeyObject): Record<string, unknown> => key.export({ format: 'jwk' }) as Record<string, unknown>
const jwtJwk = (row: KeyRow, use: 'sig' | 'jwt-svid'): Record<string, unknown> => ({
  ...jwkOf(publicKeyOf(row)),
  use,
  kid: row.id,
  alg: row.algorithm,
})

const publicHeaders = (seconds: number): Record<string, string> => ({
  'cache-control': `public, max-age=${seconds}`,
  'access-control-allow-origin': '*',
})

export function createPublicRoutes(parts: PublicParts) {
  const { now, log } = parts
  const kept = (): Record<string, string> => publicHeaders(parts.refresh)
  const jwtKeys = (snapshot: Snapshot): KeyRow[] => jwtKinds.flatMap((kind) => publishedKeys(snapshot, kind, now()))

  const openidConfiguration: Read = async (_, { issuer }) =>
    json(
      {
        issuer,
        jwks_uri: `${issuer}/keys`,
        authorization_endpoint: '',
        response_types_supported: ['id_token'],
        subject_types_supported: ['public'],
        id_token_signing_alg_values_supported: ['RS256', 'ES256'],
        claims_supported: ['iss', 'sub', 'aud', 'exp', 'iat', 'nbf', 'jti'],
      },
      { headers: kept() },
    )

  const jwks: Read = async (_, snapshot) =>
    json({ keys: jwtKeys(snapshot).map((row) => jwtJwk(row, 'sig')) }, { headers: kept() })

  /** SPIFFE bundle: one entry for each root, then the JWT keys. The sequence is the revision that last changed any key. */
  const bundle: Read = async (_, snapshot) => {
    const roots = publishedKeys(snapshot, 'root-ca', now()).map((row) => {
      const certificate = new X509Certificate(row.chain ?? '')
      return { ...jwkOf(certificate.publicKey), use: 'x509-svid', x5c: [certificate.raw.toString('base64')] }
    })
    const value = {
      keys: [...roots, ...jwtKeys(snapshot).map((row) => jwtJwk(row, 'jwt-svid'))],
      spiffe_sequence: snapshot.revision,
      spiffe_refresh_hint: parts.refresh,
    }
    return json(value, { headers: kept() })
  }

  const caPem: Read = async (_, snapshot) => ({
    headers: kept(),
    body: {
      text: publishedKeys(snapshot, 'root-ca', now())
        .map((row) => row.chain ?? '')
        .join(''),
      type: 'application/pem-certificate-chain',
    },
  })

  const server: Read = async (_, snapshot) =>
    json({
      version: parts.version,
      trustDomain: snapshot.trustDomain,
      issuer: snapshot.issuer,
      audiences: parts.audiences,
      features: parts.features,
      logKeys: logKeys(snapshot).map((row) => logVkey(row, originOf(snapshot.trustDomain, row.epoch ?? 0))),
      epoch: log.epoch(),
    })

  const logKeys = ({ keys }: Snapshot): KeyRow[] =>
    [...keys.values()].filter((row) => row.kind === 'log').sort((a, b) => a.activeAt.getTime() - b.activeAt.getTime())

  const getLogKeys: Read = async (_, snapshot) =>
    json(
      {
        items: logKeys(snapshot).map((row) => ({
          vkey: logVkey(row, originOf(snapshot.trustDomain, row.epoch ?? 0)),
          epoch: row.epoch,
          fromSize: row.fromSize ?? 0,
          from: row.activeAt.toISOString(),
          until: row.retireAt.getUTCFullYear() === 9999 ? null : row.retireAt.toISOString(),
        })),
      },
      { headers: kept() },
    )

  const ofThisEpoch = (epoch: string | undefined): void => {
    if (Number(epoch) !== log.epoch()) throw refuse('not_found')
  }

  const checkpoint: Read = async ({ params }) => {
    ofThisEpoch(params.epoch)
    return { headers: publicHeaders(2), body: { text: log.checkpoint(), type: 'text/plain; charset=utf-8' } }
  }

  /** C2SP tlog-tiles: hashes by tile, and under `entries/` the 32-byte commitments behind a two-byte length. */
  const tile: Read = async ({ params }): Promise<Reply> => {
    ofThisEpoch(params.epoch)
    const path = parseTilePath(`tile/${params.tilePath ?? ''}`)
    if (!path) throw refuse('not_found')
    const bytes =
      path.level === 'entries'
        ? await entriesTile(path.index * 256, path.width)
        : await log.tree().tile(path.level, path.index, path.width)
    if (!bytes) throw refuse('not_found')
    const headers = { ...publicHeaders(31_536_000), 'cache-control': 'public, max-age=31536000, immutable' }
    return { headers, body: { bytes, type: 'application/octet-stream' } }
  }

  async function entriesTile(first: number, width: number): Promise<Buffer | undefined> {
    if (first + width > log.size()) return undefined
    const commitments = await readLeaves(parts.db.knex, log.epoch(), first, first + width)
    return Buffer.concat(commitments.flatMap((one) => [Buffer.from([0, one.length]), one]))
  }

  return { openidConfiguration, jwks, bundle, caPem, server, getLogKeys, checkpoint, tile }
}
