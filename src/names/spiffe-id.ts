/**
 * Parses SPIFFE IDs (SPIFFE-ID section 2) character by character. `new URL` is unsuitable: it resolves `/../` and
 * `%2e%2e`, drops tabs and newlines, and accepts ports, queries and userinfo.
 */
import { NameError } from './errors.ts'

export type SpiffeId = {
  /** `spiffe://<trust domain><path>` */
  id: string
  trustDomain: string
  /** Empty for the ID of the trust domain, otherwise `/` and segments without a trailing `/`. */
  path: string
  segments: readonly string[]
}

const maxIdLength = 2048
const maxPrefixLength = 512
const trustDomain = /^[a-z0-9._-]{1,255}$/
const parts = /^spiffe:\/\/([^/]*)((?:\/.*)?)$/s
const segment = /^[A-Za-z0-9._-]+$/

/** The prefix of Purser's own paths. Prefixes of attestors and IDs of workloads must not lie under it. */
export const reservedPrefix = '/purser/'

/** Whether a text is a valid segment of a SPIFFE ID's path. */
export function isSpiffeSegment(text: string): boolean {
  return segment.test(text) && text !== '.' && text !== '..'
}

/** The specification accepts capitals and compares in lower case. We refuse them, so that equal IDs have equal texts. */
export function isTrustDomain(text: string): boolean {
  return trustDomain.test(text)
}

/**
 * @throws NameError `bad_trust_domain` when only the trust domain is invalid, otherwise `bad_spiffe_id`
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
 * Parses the prefix of an attestor's SPIFFE IDs: `/<segment>/` or longer, with a slash at both ends.
 * @throws NameError `bad_prefix`, also for Purser's own paths
 */
export function parsePrefix(text: string): string {
  const segments = text.slice(1, -1).split('/')
  if (text.length > maxPrefixLength || !text.startsWith('/') || !text.endsWith('/') || !segments.every(isSpiffeSegment))
    throw new NameError('bad_prefix', 'a SPIFFE ID prefix is /segment/ or longer, beginning and ending in a slash')
  if (text.startsWith(reservedPrefix)) throw new NameError('bad_prefix', `${reservedPrefix} is reserved`)
  return text
}

/** Whether one prefix contains the other, so that two attestors could attest the same ID. */
export function prefixesOverlap(a: string, b: string): boolean {
  return a.startsWith(b) || b.startsWith(a)
}

/** Whether an ID's path lies under a prefix. `/a/` holds `/a/b`, and neither `/a` nor `/ab`. */
export function pathUnder(prefix: string, path: string): boolean {
  return path.length > prefix.length && path.startsWith(prefix)
}

/** Whether a path belongs to Purser itself. Such IDs are never granted. */
export function isReservedPath(path: string): boolean {
  return `${path}/`.startsWith(reservedPrefix)
}
