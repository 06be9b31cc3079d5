/**
 * Fetches an issuer's keys. A discovery document may name another place; Purser follows it only to an origin that the
 * operator's configuration allows, so that no document redirects Purser or one of its credentials.
 */
import { isMembers } from '../json/members.ts'
import type { Outbound } from '../outbound/client.ts'
import { OutboundError } from '../outbound/errors.ts'
import type { Published } from './fetched-keys.ts'

/** An origin from the operator's configuration, and the credential for it. */
export type Place = {
  origin: string
  /** Sent to this origin only. */
  options: () => Promise<{ configured: boolean; caPem?: string; headers?: Record<string, string> }>
}

export type Fetch = Pick<Outbound, 'fetchJson' | 'allows'>

export const originOf = (url: string): string | undefined => (URL.canParse(url) ? new URL(url).origin : undefined)

/** OpenID Connect Discovery 1.0, section 4: the issuer without its trailing slash, and the well-known path. */
export const documentUrl = (issuer: string): string => `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`

/** @throws OutboundError */
async function fetchFrom(fetch: Fetch, url: string, places: readonly Place[]) {
  const place = places.find(({ origin }) => origin === originOf(url))
  // No Accept header: an API server's key set is application/jwk-set+json, and application/json gets 406.
  return fetch.fetchJson(url, place ? await place.options() : { configured: false })
}

/** @throws OutboundError */
export async function readJwks(fetch: Fetch, url: string, places: readonly Place[]): Promise<Published> {
  const { json, headers } = await fetchFrom(fetch, url, places)
  const keys = isMembers(json) ? json.keys : undefined
  if (!Array.isArray(keys)) throw new OutboundError('bad_body', 'the answer is no JWKS: it has no list of keys')
  const maxAge = /(?:^|[\s,])max-age=(\d{1,9})(?:$|[\s,])/i.exec(headers['cache-control'] ?? '')?.[1]
  return { keys, ...(maxAge !== undefined && { maxAgeSeconds: Number(maxAge) }) }
}

/**
 * Reads the discovery document, then the keys that it names.
 * @param from.document the URL of the document, where it is not at the issuer
 * @param from.fallback the URL of the keys where the document names an origin that is not allowed
 * @throws OutboundError
 */
export async function discover(
  fetch: Fetch,
  from: { issuer: string; document?: string; fallback?: string },
  places: readonly Place[],
): Promise<Published> {
  const { json } = await fetchFrom(fetch, from.document ?? documentUrl(from.issuer), places)
  const document = isMembers(json) ? json : {}
  if (document.issuer !== from.issuer)
    throw new OutboundError('bad_body', 'the discovery document is of another issuer than the configured one')
  const url = document.jwks_uri
  if (typeof url !== 'string') throw new OutboundError('bad_body', 'the discovery document names no jwks_uri')
  const isConfigured = [originOf(from.issuer), ...places.map(({ origin }) => origin)].includes(originOf(url))
  if (isConfigured || fetch.allows(url)) return readJwks(fetch, url, places)
  if (from.fallback !== undefined) return readJwks(fetch, from.fallback, places)
  throw new OutboundError(
    'not_allowed',
    'the discovery document names a jwks_uri of another origin: give jwksUrl, or list the origin in PURSER_FETCH_ALLOW',
  )
}
