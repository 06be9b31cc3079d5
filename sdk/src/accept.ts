import { PurserError } from './errors.ts'

/**
 * Whom to talk to: an exact SPIFFE ID, a prefix that ends in `/*`, a list of these (an empty one is nobody), or a
 * function that answers `true`. Never a host name.
 */
export type Accept = string | readonly string[] | ((spiffeId: string) => boolean)

const pattern = /^spiffe:\/\/[a-z0-9._-]{1,255}(?:\/[A-Za-z0-9._-]+)*(?:\/\*)?$/

/** @throws PurserError `bad_options` for what no SPIFFE ID could match */
export function acceptsPeer(accept: Accept, spiffeId: string): boolean {
  // A promise is no `true`: a function that answers one accepts nobody.
  const verdict: unknown = typeof accept === 'function' && accept(spiffeId)
  if (typeof accept === 'function') return verdict === true
  return checkAccept(accept).some((one) =>
    one.endsWith('/*') ? isUnder(one.slice(0, -1), spiffeId) : one === spiffeId,
  )
}

const isUnder = (prefix: string, spiffeId: string): boolean =>
  spiffeId.startsWith(prefix) && spiffeId.length > prefix.length

function checkAccept(accept: string | readonly string[]): readonly string[] {
  const patterns: readonly unknown[] = Array.isArray(accept) ? accept : [accept]
  if (patterns.every((one): one is string => typeof one === 'string' && pattern.test(one))) return patterns
  throw new PurserError('bad_options', 'accept holds SPIFFE IDs, or prefixes of them that end in /*, or is a function')
}
