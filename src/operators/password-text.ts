/**
 * The text of a password, by the profile OpaqueString of PRECIS (RFC 8265 section 4.2): spaces of every kind become the
 * ASCII space, and the text is normalised by NFC, so that every keyboard gives the same bytes. Upper and lower case differ.
 */

/** In characters: Unicode code points. */
const minCharacters = 12
/** In bytes of UTF-8, so that the work of a hash is bounded. */
const maxBytes = 1024

/** Classes that FreeformClass refuses (RFC 8264 section 4.3): controls, surrogates, unassigned code points. */
const refused = /[\p{Cc}\p{Cs}\p{Cn}]/u

export type PasswordText = { text: string; problem?: undefined } | { text?: undefined; problem: string }

/** The canonical text of a password that is presented. */
export function readPassword(input: string): PasswordText {
  const text = input.replaceAll(/\p{Zs}/gu, ' ').normalize('NFC')
  if (refused.test(text)) return { problem: 'must not contain control characters or unassigned code points' }
  if (text === '' || Buffer.byteLength(text, 'utf8') > maxBytes) {
    return { problem: `must have 1 to ${maxBytes} bytes in UTF-8` }
  }
  return { text }
}

/** The canonical text of a password that is being set. */
export function readNewPassword(input: string, operator: string): PasswordText {
  const read = readPassword(input)
  if (read.text === undefined) return read
  const characters = Array.from(read.text)
  if (characters.length < minCharacters) return { problem: `must have at least ${minCharacters} characters` }
  if (new Set(characters).size < 4) return { problem: 'must have at least 4 different characters' }
  if (read.text.toLowerCase() === operator) return { problem: 'must not be the name of the operator' }
  return read
}
