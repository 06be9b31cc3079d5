/** Decodes queries and forms, once. Invalid escapes and bytes that are not UTF-8 are refused, not replaced. */
import { refuse } from '../errors.ts'

/**
 * @returns a list of values for a repeated name
 * @throws Refusal `invalid_request`
 */
export function parseQuery(url: string): Record<string, string | string[]> {
  const query: Record<string, string | string[]> = Object.create(null)
  const at = url.indexOf('?')
  if (at < 0) return query
  if (needlessEscape.test(url.slice(at)))
    throw notEncoded('letters, digits, hyphen, dot and underscore are not percent-encoded')
  for (const [name, value] of parsePairs(url.slice(at + 1))) {
    const earlier = query[name]
    query[name] = earlier === undefined ? value : [...[earlier].flat(), value]
  }
  return query
}

/**
 * The names and values of `a=1&b=2`, as forms and URLSearchParams write them.
 * @throws Refusal `invalid_request`
 */
export function parsePairs(text: string): [string, string][] {
  if (/[^\x21-\x7e]/.test(text)) throw notEncoded()
  return text
    .split('&')
    .filter((pair) => pair !== '')
    .map((pair) => {
      const at = pair.indexOf('=')
      return at < 0 ? [decode(pair), ''] : [decode(pair.slice(0, at)), decode(pair.slice(at + 1))]
    })
}

/** A plus is a space, as forms encode it. */
function decode(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '))
  } catch {
    throw notEncoded()
  }
}

/** Escapes of unreserved characters, which no encoder writes (RFC 3986 section 2.3): a second spelling of a value. */
const needlessEscape = /%(?:2[de]|3[0-9]|[46][1-9a-f]|[57][0-9a]|5f)/i

const notEncoded = (detail = 'not percent-encoded UTF-8'): Error =>
  refuse('invalid_request', { errors: [{ pointer: '', detail }] })
