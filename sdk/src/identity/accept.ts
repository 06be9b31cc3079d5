/** Which peers are accepted, by their SPIFFE ID alone. */
import { PurserError, wordsOf } from '../errors.ts'
import { readSpiffeId } from './spiffe-id.ts'
import type { Accept } from '../types/tls-options.ts'

type Accepts = (spiffeId: string) => boolean

const bad = (why: string): PurserError => new PurserError('bad_options', `accept ${why}`)

/**
 * @param warn receives the failures of an `accept` function, and results other than true or false
 * @returns a predicate for SPIFFE IDs of our trust domain
 * @throws PurserError `bad_options` for a pattern that can't match, or is ambiguous
 */
export function readAccept(accept: Accept, trustDomain: string, warn: (warning: string) => void): Accepts {
  if (typeof accept === 'function') return (spiffeId) => isTrue(accept, spiffeId, warn)
  if (typeof accept !== 'string' && !Array.isArray(accept)) {
    throw bad('is required: a SPIFFE ID, a list of them, or a function')
  }
  const patterns: readonly unknown[] = typeof accept === 'string' ? [accept] : accept
  const tests = patterns.map((pattern) => readPattern(pattern, trustDomain))
  return (spiffeId) => tests.some((test) => test(spiffeId))
}

function readPattern(pattern: unknown, trustDomain: string): Accepts {
  if (typeof pattern !== 'string') throw bad('contains a value that is not a string')
  const below = pattern.endsWith('/*')
  const id = below ? pattern.slice(0, -2) : pattern
  const parsed = readSpiffeId(id)
  const quoted = JSON.stringify(pattern.slice(0, 300))
  if (!parsed) throw bad(`names ${quoted}, which is neither a SPIFFE ID nor one that ends in /*`)
  if (parsed.trustDomain !== trustDomain) {
    throw bad(`names ${quoted}, which is in another trust domain than ours, ${trustDomain}`)
  }
  if (!below && parsed.path === '')
    throw bad(`names ${quoted}, which is only a trust domain; for all of its workloads, use ${id}/*`)
  return below ? (spiffeId) => spiffeId.startsWith(`${id}/`) : (spiffeId) => spiffeId === id
}

function isTrue(accept: (spiffeId: string) => unknown, spiffeId: string, warn: (warning: string) => void): boolean {
  try {
    const answer = accept(spiffeId)
    if (typeof answer === 'boolean') return answer
    warn(`the function accept returned neither true nor false for ${spiffeId}, so the peer is refused`)
    // Ignores the outcome of a promise.
    if (answer instanceof Promise) answer.catch(() => undefined)
  } catch (error) {
    warn(`the function accept threw, so ${spiffeId} is refused: ${wordsOf(error)}`)
  }
  return false
}
