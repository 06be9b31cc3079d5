import { VerifyError } from './errors.ts'

const MAX_DEPTH = 64

/** A lone surrogate has no UTF-8 form, so a hash of the text could not be reproduced. */
export const hasLoneSurrogate = (text: string): boolean => !text.isWellFormed()

/** Whether a value is an object and not an array. */
export const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/**
 * Serializes a value as canonical JSON (RFC 8785): without spaces, members sorted by UTF-16 code units, numbers as
 * ECMAScript prints them. Omits members whose value is `undefined`, as JSON.stringify does.
 * @throws VerifyError `not_canonical` for what JSON can't represent: NaN, infinities, BigInt, functions, symbols, lone
 *   surrogates, `undefined` in arrays, objects other than plain ones, more than 64 levels
 */
export function canonicalize(value: unknown): string {
  return write(value, 0)
}

function write(value: unknown, depth: number): string {
  if (depth > MAX_DEPTH) throw new VerifyError('not_canonical', `more than ${MAX_DEPTH} levels`)
  if (value === null) return 'null'
  switch (typeof value) {
    case 'string':
      return writeString(value)
    case 'number':
      if (!Number.isFinite(value)) throw new VerifyError('not_canonical', 'a number is not finite')
      return JSON.stringify(value)
    case 'boolean':
      return value ? 'true' : 'false'
    case 'object':
      return Array.isArray(value) ? writeArray(value, depth) : writeObject(value, depth)
    default:
      throw new VerifyError('not_canonical', `JSON has no ${typeof value}`)
  }
}

// JSON.stringify escapes as RFC 8785 §3.2.2.2 requires. It also escapes lone surrogates, which are refused instead.
function writeString(text: string): string {
  if (hasLoneSurrogate(text)) throw new VerifyError('not_canonical', 'a string contains a lone surrogate')
  return JSON.stringify(text)
}

function writeArray(items: readonly unknown[], depth: number): string {
  let text = '['
  for (let i = 0; i < items.length; i++) text += (i === 0 ? '' : ',') + write(items[i], depth + 1)
  return text + ']'
}

function writeObject(members: unknown, depth: number): string {
  if (!isObject(members)) throw new VerifyError('not_canonical', 'not an object')
  const prototype: unknown = Object.getPrototypeOf(members)
  if (prototype !== Object.prototype && prototype !== null) {
    throw new VerifyError('not_canonical', 'an object is not a plain one')
  }
  let text = '{'
  // sort() without a comparator compares UTF-16 code units, as RFC 8785 §3.2.3 requires.
  for (const name of Object.keys(members).sort()) {
    const member = members[name]
    if (member === undefined) continue
    text += (text === '{' ? '' : ',') + writeString(name) + ':' + write(member, depth + 1)
  }
  return text + '}'
}

/**
 * Parses the text of an entry: a JSON object in canonical form. The hash covers the text, so a value must have only one
 * text.
 * @throws VerifyError `not_canonical`
 */
export function parseCanonical(text: string): Record<string, unknown> {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw new VerifyError('not_canonical', 'not JSON')
  }
  if (!isObject(value)) throw new VerifyError('not_canonical', 'not a JSON object')
  if (canonicalize(value) !== text) throw new VerifyError('not_canonical', 'not in the canonical form of RFC 8785')
  return value
}
