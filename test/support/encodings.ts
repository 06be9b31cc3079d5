/** The encodings that hide a text from a plain search. */
import { hash } from 'node:crypto'

/**
 * The parts of a base64 text that do not depend on the surrounding bytes: three offsets, without the characters at
 * their ends.
 */
const base64Of = (bytes: Buffer): string[] =>
  [0, 1, 2].map((shift) => {
    const text = Buffer.concat([Buffer.alloc(shift), bytes])
      .toString('base64')
      .replaceAll('=', '')
    return text.slice(Math.ceil((shift * 8) / 6) + (shift === 0 ? 0 : 1), -2)
  })

const escaped = (text: string): string =>
  text
    .split('')
    .map((part) => `\\u${part.charCodeAt(0).toString(16).padStart(4, '0')}`)
    .join('')

/**
 * Needles for one value: as it is, backwards, in base64 and base64url, hexadecimal, percent and JSON escapes, UTF-16.
 */
export function encodingsOf(text: string): Map<string, Buffer> {
  const bytes = Buffer.from(text, 'utf8')
  const needles = new Map<string, Buffer>()
  const add = (name: string, needle: string | Buffer): void => void needles.set(name, Buffer.from(needle as string))
  add('plain', text)
  add('upper case', text.toUpperCase())
  add('lower case', text.toLowerCase())
  add('backwards', text.split('').toReversed().join(''))
  base64Of(bytes).forEach((encoding, n) => {
    add(`base64 at ${n}`, encoding)
    add(`base64url at ${n}`, encoding.replaceAll('+', '-').replaceAll('/', '_'))
  })
  add('hex', bytes.toString('hex'))
  add('HEX', bytes.toString('hex').toUpperCase())
  add('percent', [...bytes].map((byte) => `%${byte.toString(16).padStart(2, '0')}`).join(''))
  add('PERCENT', [...bytes].map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`).join(''))
  add('JSON escapes', escaped(text))
  needles.set('UTF-16LE', Buffer.from(text, 'utf16le'))
  needles.set('UTF-16BE', Buffer.from(text, 'utf16le').swap16())
  return needles
}

/** Unkeyed hashes of the whole text, which can confirm a guess. */
export const hashesOf = (text: string): Buffer[] =>
  (['md5', 'sha1', 'sha256', 'sha512'] as const).flatMap((algorithm) => {
    const bytes = hash(algorithm, text, 'buffer')
    return [bytes, Buffer.from(bytes.toString('hex')), Buffer.from(bytes.toString('base64').slice(0, -2))]
  })
