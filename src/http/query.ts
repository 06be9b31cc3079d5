/** The query, decoded once: an escape that is none, or bytes that are no UTF-8, are refused rather than replaced. */
import { refuse } from '../errors.ts'

/**
 * @returns repeated names as lists
 * @throws Refusal `invalid_request`
 */
export function queryOf(url: string): Record<string, string | string[]> {
  const query: Record<string, string | string[]> = Object.create(null)
  const at = url.indexOf('?')
  if (at < 0) return query
  for (const pair of url.slice(at + 1).split('&')) {
    if (pair === '') continue
    const [name = '', value = ''] = splitOnce(pair).map(decode)
    const before = query[name]
    query[name] = before === undefined ? value : [...(Array.isArray(before) ? before : [before]), value]
  }
  return query
}

const splitOnce = (pair: string): string[] => {
  const at = pair.indexOf('=')
  return at < 0 ? [pair] : [pair.slice(0, at), pair.slice(at + 1)]
}

/** As forms and URLSearchParams write it: a plus is a space. */
function decode(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '))
  } catch {
    throw refuse('invalid_request', { errors: [{ pointer: '', detail: 'the query is not percent-encoded UTF-8' }] })
  }
}
