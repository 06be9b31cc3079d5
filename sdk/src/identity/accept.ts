/** Which peers are let in, by their SPIFFE ID alone. */
import { PurserError, wordsOf } from '../errors.ts'
import { readSpiffeId } from './spiffe-id.ts'
import type { Accept } from '../types/tls-options.ts'

type Accepts = (spiffeId: string) => boolean

const bad = (why: string): PurserError => new PurserError('bad_options', `accept ${why}`)

/**
 * @param spiffeId of a peer that TLS verified: its trust domain is ours
 * @param warn told of a function that throws, or doesn't answer true or false
 * @throws PurserError `bad_options` for a pattern that could match nobody, or was meant otherwise
 */
export function readAccept(accept: Accept, trustDomain: string, warn: (warning: string) => void): Accepts {
  if (typeof accept === 'function') return (spiffeId) => isTrue(accept, spiffeId, warn)
  if (typeof accept !== 'string' && !Array.isArray(accept)) {
    throw bad('says which peers are let in, and nobody is unless it is given: a SPIFFE ID, a list, or a function')
  }
  const patterns: readonly unknown[] = typeof accept === 'string' ? [accept] : accept
  const tests = patterns.map((pattern) => readPattern(pattern, trustDomain))
  return (spiffeId) => tests.some((test) => test(spiffeId))
}

function readPattern(pattern: unknown, trustDomain: string): Accepts {
  if (typeof pattern !== 'string') throw bad('holds something that is no text')
  const below = pattern.endsWith('/*')
  const id = below ? pattern.slice(0, -2) : pattern
  const read = readSpiffeId(id)
  const said = JSON.stringify(pattern.slice(0, 300))
  if (!read) throw bad(`names ${said}, which is neither a SPIFFE ID nor one that ends in /*`)
  if (read.trustDomain !== trustDomain) {
    throw bad(`names ${said}, which is of another trust domain than ours, ${trustDomain}: nobody there has our roots`)
  }
  if (!below && read.path === '') throw bad(`names ${said}, a trust domain alone; everybody in it is ${id}/*`)
  return below ? (spiffeId) => spiffeId.startsWith(`${id}/`) : (spiffeId) => spiffeId === id
}

function isTrue(accept: (spiffeId: string) => unknown, spiffeId: string, warn: (warning: string) => void): boolean {
  try {
    const answer = accept(spiffeId)
    if (typeof answer === 'boolean') return answer
    warn(`the function accept answered neither true nor false for ${spiffeId}, so it is not let in`)
    // A promise that fails is nobody's concern any more.
    if (answer instanceof Promise) answer.catch(() => undefined)
  } catch (error) {
    warn(`the function accept threw, so ${spiffeId} is not let in: ${wordsOf(error)}`)
  }
  return false
}
