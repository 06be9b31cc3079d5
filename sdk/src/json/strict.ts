import { isUtf8 } from 'node:buffer'
import { hasLoneSurrogate, isObject } from '../verify/canonical.ts'

export type JsonObject = Readonly<Record<string, unknown>>

const maxDepth = 16
/** In a text that is JSON, these are all that a scan for names needs: strings whole, so that nothing inside one counts. */
const tokens = /"(?:[^"\\]|\\.)*"(\s*:)?|[{}[\]]/gs

/**
 * One JSON object, read so that every other reader of the same bytes sees the same: no name twice (RFC 8259 section 4
 * leaves open which one counts), no lone surrogate, nothing but UTF-8, no number that is out of range. What comes is
 * frozen and inherits nothing, so that no claim can pass for a member that every object has.
 * @returns undefined for anything else
 */
export function readStrictObject(bytes: Uint8Array): JsonObject | undefined {
  if (!isUtf8(bytes)) return undefined
  const text = Buffer.from(bytes).toString('utf8')
  let value: unknown
  try {
    // The grammar is judged here, before the scan, which is right only for what is JSON.
    JSON.parse(text)
    if (!isPlain(text)) return undefined
    value = JSON.parse(text, bare)
  } catch {
    return undefined
  }
  return isObject(value) ? value : undefined
}

/** Called from the inside out; throws what ends the reading. */
function bare(_: string, value: unknown): unknown {
  // Beyond 2^53 - 1 an integer is not the one that was written.
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
