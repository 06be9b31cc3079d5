/**
 * Strict JSON for untrusted input: every other parser reads the same value from the same bytes.
 *
 * RFC 8259 section 4 does not define duplicate names. `JSON.parse` takes the last one, other parsers the first. One pass
 * over the text refuses what parsers read differently (RFC 7493, I-JSON) and what is too expensive. Then `JSON.parse` checks
 * the grammar and builds the value. The pass only needs to be correct for texts that `JSON.parse` accepts.
 */
import { isUtf8 } from 'node:buffer'

export type JsonErrorCode =
  | 'too_large'
  | 'not_utf8'
  | 'byte_order_mark'
  | 'syntax'
  | 'too_deep'
  | 'too_many_members'
  | 'duplicate_name'
  | 'forbidden_name'
  | 'lone_surrogate'
  | 'number_out_of_range'

/** Has a code, and where possible a JSON pointer (RFC 6901) and a UTF-16 offset. Never has the text, which may hold secrets. */
export class JsonError extends Error {
  readonly code: JsonErrorCode
  readonly pointer: string | undefined
  readonly offset: number | undefined

  constructor(code: JsonErrorCode, pointer?: string, offset?: number) {
    super(`JSON refused: ${code}${offset === undefined ? '' : ` at offset ${String(offset)}`}`)
    this.name = 'JsonError'
    this.code = code
    this.pointer = pointer
    this.offset = offset
  }
}

export type JsonLimits = {
  /** Depth of nested arrays and objects, 32 by default. */
  maxDepth?: number
  /** Members of objects and elements of arrays in the whole document, 1,000 by default. */
  maxMembers?: number
  /** Bytes, or UTF-16 units of a string. Unlimited by default. */
  maxBytes?: number
  /** `refuse` (default) refuses numbers that a double cannot represent. `round` is for documents whose numbers are not stored. */
  largeIntegers?: 'refuse' | 'round'
}

type Frame = { array: boolean; key: string | number; names: string[]; set: Set<string> | undefined }

const TAB = 0x09
const NEWLINE = 0x0a
const RETURN = 0x0d
const SPACE = 0x20
const QUOTE = 0x22
const COMMA = 0x2c
const MINUS = 0x2d
const COLON = 0x3a
const OPEN_ARRAY = 0x5b
const BACKSLASH = 0x5c
const CLOSE_ARRAY = 0x5d
const LETTER_U = 0x75
const OPEN_OBJECT = 0x7b
const CLOSE_OBJECT = 0x7d

// With the u flag, a surrogate matches only without its partner.
const loneSurrogate = /[\ud800-\udfff]/u
const numberToken = /-?[0-9.eE+-]+/y
const namesBeforeSet = 8
/** Every double has a form of at most 25 characters. Longer tokens are expensive to parse and add nothing. */
const maxNumberLength = 64

/**
 * Reads one JSON document strictly.
 * @throws JsonError, and nothing else
 */
export function parseStrict(input: Uint8Array | string, limits: JsonLimits = {}): unknown {
  if (limits.maxBytes !== undefined && input.length > limits.maxBytes) throw new JsonError('too_large')
  const text = decode(input)
  scan(text, limits.maxDepth ?? 32, limits.maxMembers ?? 1000, limits.largeIntegers === 'round')
  return parse(text)
}

function decode(input: Uint8Array | string): string {
  let text: string
  if (typeof input === 'string') {
    if (loneSurrogate.test(input)) throw new JsonError('lone_surrogate')
    text = input
  } else {
    if (!isUtf8(input)) throw new JsonError('not_utf8')
    text = Buffer.from(input.buffer, input.byteOffset, input.length).toString('utf8')
  }
  if (text.charCodeAt(0) === 0xfeff) throw new JsonError('byte_order_mark', '', 0)
  return text
}

// Drops the message of the engine, which quotes the text.
function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new JsonError('syntax')
  }
}

function scan(text: string, maxDepth: number, maxMembers: number, roundIntegers: boolean): void {
  const stack: Frame[] = []
  let top: Frame | undefined
  let members = 0
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code === QUOTE) {
      const start = at + 1
      let escaped = false
      let unicode = false
      let unit = text.charCodeAt(++at)
      while (unit !== QUOTE) {
        if (at >= text.length) throw errorAt('syntax', stack, start - 1)
        if (unit === BACKSLASH) {
          escaped = true
          if (text.charCodeAt(++at) === LETTER_U) unicode = true
        }
        unit = text.charCodeAt(++at)
      }
      if (unicode && loneSurrogate.test(unquote(text, start, at, true)))
        throw errorAt('lone_surrogate', stack, start - 1)
      // In valid JSON, a string is the name of a member exactly when a colon follows.
      if (top !== undefined && !top.array && followedByColon(text, at + 1)) {
        const name = unquote(text, start, at, escaped)
        top.key = name
        if (++members > maxMembers) throw errorAt('too_many_members', stack, start - 1)
        if (name === '__proto__') throw errorAt('forbidden_name', stack, start - 1)
        if (!addName(top, name)) throw errorAt('duplicate_name', stack, start - 1)
      }
    } else if (code === OPEN_OBJECT || code === OPEN_ARRAY) {
      if (stack.length >= maxDepth) throw errorAt('too_deep', stack, at)
      top = { array: code === OPEN_ARRAY, key: code === OPEN_ARRAY ? 0 : '', names: [], set: undefined }
      if (top.array && ++members > maxMembers) throw errorAt('too_many_members', stack, at)
      stack.push(top)
    } else if (code === CLOSE_OBJECT || code === CLOSE_ARRAY) {
      if (stack.pop() === undefined) throw errorAt('syntax', stack, at)
      top = stack.at(-1)
    } else if (code === COMMA) {
      if (top !== undefined && typeof top.key === 'number') {
        top.key++
        if (++members > maxMembers) throw errorAt('too_many_members', stack, at)
      }
    } else if (code === MINUS || (code >= 0x30 && code <= 0x39)) {
      numberToken.lastIndex = at
      const token = numberToken.exec(text)?.[0] ?? ''
      const ends = /[\s,\]}]/.test(text[at + token.length] ?? ' ')
      if (ends && !inRange(token, roundIntegers)) throw errorAt('number_out_of_range', stack, at)
      at += token.length - 1
    }
  }
}

function unquote(text: string, start: number, end: number, escaped: boolean): string {
  return escaped ? String(parse(text.slice(start - 1, end + 1))) : text.slice(start, end)
}

function errorAt(code: JsonErrorCode, stack: readonly Frame[], offset: number): JsonError {
  const pointer = stack.map(({ key }) => `/${String(key).replaceAll('~', '~0').replaceAll('/', '~1')}`).join('')
  return new JsonError(code, pointer, offset)
}

function followedByColon(text: string, from: number): boolean {
  let at = from
  let code = text.charCodeAt(at)
  while (code === SPACE || code === NEWLINE || code === RETURN || code === TAB) code = text.charCodeAt(++at)
  return code === COLON
}

// Compares a few names one by one, and uses a set for many, so that the time stays proportional to the text.
function addName(frame: Frame, name: string): boolean {
  if (frame.set === undefined) {
    if (frame.names.includes(name)) return false
    if (frame.names.push(name) > namesBeforeSet) frame.set = new Set(frame.names)
    return true
  }
  if (frame.set.has(name)) return false
  frame.set.add(name)
  return true
}

function inRange(token: string, roundIntegers: boolean): boolean {
  if (token.length > maxNumberLength) return false
  const value = Number(token)
  // A token that is no number is a fault of grammar, which JSON.parse reports.
  if (Number.isNaN(value)) return true
  if (!Number.isFinite(value)) return false
  if (roundIntegers || (token.length < 16 && !/e/i.test(token))) return true
  if (/^-?[0-9]+$/.test(token)) return Number.isSafeInteger(value)
  return !numberGrammar.test(token) || decimal(token) === decimal(String(value))
}

const numberGrammar = /^-?([0-9]+)(?:\.([0-9]+))?(?:[eE]([+-]?[0-9]+))?$/

/** The significant digits and the exponent of the last one: the same text for all forms of a number. */
function decimal(token: string): string {
  const [, whole = '', fraction = '', power = '0'] = numberGrammar.exec(token) ?? []
  const digits = `${whole}${fraction}`.replace(/^0+/, '')
  let end = digits.length
  while (digits[end - 1] === '0') end--
  const significant = digits.slice(0, end)
  if (significant === '') return '0'
  return `${significant}e${Number(power) - fraction.length + digits.length - significant.length}`
}
