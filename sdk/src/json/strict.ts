import { isUtf8 } from 'node:buffer'
import { hasLoneSurrogate, isObject } from '../verify/canonical.ts'

export type JsonObject = Readonly<Record<string, unknown>>

const maxDepth = 16
/** The tokens of valid JSON that a scan for duplicate names needs. Strings are whole tokens, so their content is skipped. */
const tokens = /"(?:[^"\\]|\\.)*"(\s*:)?|[{}[\]]/gs

/**
 * Parses a JSON object that every parser reads alike: without duplicate names (RFC 8259 section 4 leaves their meaning open),
 * lone surrogates, invalid UTF-8, or numbers out of range. The result is frozen and has no prototype, so that no inherited
 * member can pass for a claim.
 * @returns undefined for any other input
 */
export function readStrictObject(bytes: Uint8Array): JsonObject | undefined {
  if (!isUtf8(bytes)) return undefined
  const text = Buffer.from(bytes).toString('utf8')
  let value: unknown
  try {
    // Checks the grammar first, since the scan is correct only for valid JSON.
    JSON.parse(text)
    if (!isPlain(text)) return undefined
    value = JSON.parse(text, reviveStrictly)
  } catch {
    return undefined
  }
  return isObject(value) ? value : undefined
}

/** Called from the inside out. Throws to stop the parsing. */
function reviveStrictly(_: string, value: unknown): unknown {
  // An integer beyond 2^53 - 1 loses precision.
  if (
    typeof value === 'number' &&
    (!Number.isFinite(value) || (Number.isInteger(value) && !Number.isSafeInteger(value)))
  ) {
    throw new RangeError('a number is out of range')
  }
  if (typeof value === 'string' && hasLoneSurrogate(value)) throw new RangeError('a lone surrogate')
  if (Array.isArray(value)) return Object.freeze(value)
  return isObject(value) ? Object.freeze({ __proto__: null, ...value }) : value
}

function isPlain(text: string): boolean {
  const open: Set<string>[] = []
  for (const [token, colon] of text.matchAll(tokens)) {
    if (token === '{' || token === '[') {
      if (open.push(new Set()) > maxDepth) return false
    } else if (token === '}' || token === ']') {
      open.pop()
    } else if (colon !== undefined) {
      const name = String(JSON.parse(token.slice(0, -colon.length)))
      const names = open.at(-1)
      if (!names || names.has(name) || name === '__proto__' || hasLoneSurrogate(name)) return false
      names.add(name)
    }
  }
  return true
}
