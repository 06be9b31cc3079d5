/**
 * SPIFFE IDs (SPIFFE-ID section 2), read by the characters alone. `new URL` is never used: it resolves `/../` and
 * `%2e%2e`, drops tabs and newlines, and keeps ports, queries and userinfo.
 */
import { NameError } from './errors.ts'

export type SpiffeId = {
  /** The whole text, `spiffe://<trust domain><path>`. */
  id: string
  trustDomain: string
  /** Empty for the trust domain's own ID, otherwise `/` and segments without a trailing `/`. */
  path: string
  segments: readonly string[]
}

const maxIdLength = 2048
const maxPrefixLength = 512
const trustDomain = /^[a-z0-9._-]{1,255}$/
const parts = /^spiffe:\/\/([^/]*)((?:\/.*)?)$/s
const segment = /^[A-Za-z0-9._-]+$/

/** The paths that are Purser's own: no attestor's prefix and no workload's ID lies under them. */
export const reservedPrefix = '/purser/'

/** Whether a text may stand between the slashes of a SPIFFE ID's path. */
export function isSpiffeSegment(text: string): boolean {
  return segment.test(text) && text !== '.' && text !== '..'
}

/** The specification reads capitals here; we refuse them, since nothing that we print may differ from what we compare. */
export function isTrustDomain(text: string): boolean {
  return trustDomain.test(text)
}

/**
 * @throws NameError `bad_trust_domain` (of a text that is otherwise like an ID) or `bad_spiffe_id`
 */
export function parseSpiffeId(text: string): SpiffeId {
  if (text.length > maxIdLength) throw new NameError('bad_spiffe_id', 'a SPIFFE ID is at most 2048 bytes long')
  const [, domain, path] = parts.exec(text) ?? []
  if (domain === undefined || path === undefined)
    throw new NameError('bad_spiffe_id', 'a SPIFFE ID is spiffe://, a trust domain, and a path')
  if (!isTrustDomain(domain))
    throw new NameError('bad_trust_domain', 'a trust domain is 1 to 255 of a-z, 0-9, dot, hyphen and underscore')
  const segments = path === '' ? [] : path.slice(1).split('/')
  if (!segments.every(isSpiffeSegment))
    throw new NameError(
      'bad_spiffe_id',
      'each segment of a SPIFFE ID is one or more of A-Z, a-z, 0-9, dot, hyphen and underscore, and not . or ..',
    )
  return { id: text, trustDomain: domain, path, segments }
}

/**
 * The subtree that an attestor vouches for: `/<segment>/`, or longer, beginning and ending in a slash.
 * @throws NameError `bad_prefix`, also for Purser's own
 */
export function parsePrefix(text: string): string {
  const segments = text.slice(1, -1).split('/')
  if (text.length > maxPrefixLength || !text.startsWith('/') || !text.endsWith('/') || !segments.every(isSpiffeSegment))
    throw new NameError('bad_prefix', 'a SPIFFE ID prefix is /segment/ or longer, beginning and ending in a slash')
  if (text.startsWith(reservedPrefix)) throw new NameError('bad_prefix', `${reservedPrefix} is reserved`)
  return text
}

/** Whether one prefix contains the other, so that two attestors could vouch for one ID. */
export function prefixesOverlap(a: string, b: string): boolean {
  return a.startsWith(b) || b.startsWith(a)
}

/** Whether an ID's path lies under a prefix. `/a/` holds `/a/b`, and neither `/a` nor `/ab`. */
export function pathUnder(prefix: string, path: string): boolean {
  return path.length > prefix.length && path.startsWith(prefix)
}

/** Whether an ID's path is Purser's own, which is never granted. */
export function isReservedPath(path: string): boolean {
  return `${path}/`.startsWith(reservedPrefix)
}
