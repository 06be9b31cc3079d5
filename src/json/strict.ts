/**
 * JSON from strangers, read so that every other reader of the same bytes would see the same value.
 *
 * RFC 8259 section 4 leaves duplicate names open and `JSON.parse` takes the last, while other verifiers take the first.
 * So one pass over the text refuses what readers disagree on (RFC 7493, I-JSON) and what costs too much, and `JSON.parse`
 * then judges the grammar and makes the value. The pass needs to be right only on texts that `JSON.parse` accepts.
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

/** Never carries the text itself, which may hold secrets: a code, and where known a JSON pointer (RFC 6901) and a UTF-16 offset. */
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
  /** Arrays and objects inside each other; 32 unless given. */
  maxDepth?: number
  /** Members of objects and elements of arrays in the whole document together; 1,000 unless given. */
  maxMembers?: number
  /** Bytes (of a string: UTF-16 units); unlimited unless given. */
  maxBytes?: number
  /** Numbers that change their value when read as a double are refused, unless another party wrote the document and no number in it is stored. */
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

// With the u flag a surrogate matches only where it has no partner.
const loneSurrogate = /[\ud800-\udfff]/u
const numberToken = /-?[0-9.eE+-]+/y
const namesBeforeSet = 8
/** Every double has a spelling of 25 characters at most. A longer token costs its reader more than it says. */
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

// The engine's own message quotes the text, so it goes no further.
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
      // In a document that is JSON, a string followed by a colon is a member's name, and nothing else is.
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

// A few names are compared one by one, many by a set: the time stays proportional to the text.
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
  // What isn't a number at all is a fault of grammar, which JSON.parse names.
  if (Number.isNaN(value)) return true
  if (!Number.isFinite(value)) return false
  if (roundIntegers || (token.length < 16 && !/e/i.test(token))) return true
  if (/^-?[0-9]+$/.test(token)) return Number.isSafeInteger(value)
  return !numberGrammar.test(token) || decimal(token) === decimal(String(value))
}

const numberGrammar = /^-?([0-9]+)(?:\.([0-9]+))?(?:[eE]([+-]?[0-9]+))?$/

/** Digits without zeros at their ends, and the power of ten of the last one: two spellings of a number have one. */
function decimal(token: string): string {
  const [, whole = '', fraction = '', power = '0'] = numberGrammar.exec(token) ?? []
  const digits = `${whole}${fraction}`.replace(/^0+/, '')
  let end = digits.length
  while (digits[end - 1] === '0') end--
  const significant = digits.slice(0, end)
  if (significant === '') return '0'
  return `${significant}e${Number(power) - fraction.length + digits.length - significant.length}`
}
