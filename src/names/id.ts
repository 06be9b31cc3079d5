/** Names of entries and attestors, which operators choose, and ids, which Purser generates. */
import { NameError } from './errors.ts'

const idBytes = 16

export function isEntryName(text: string): boolean {
  return /^[a-z0-9][a-z0-9-]{0,62}$/.test(text)
}

/** @throws NameError `bad_name` */
export function parseEntryName(text: string): string {
  if (isEntryName(text)) return text
  throw new NameError('bad_name', 'a name is 1 to 63 of a-z, 0-9 and hyphen, and does not begin with a hyphen')
}

/** A new id such as `ses_` and 32 hexadecimal digits, with 128 random bits. `prefix` has no underscore. */
export function newId(prefix: string, randomBytes: (size: number) => Uint8Array): string {
  return `${prefix}_${Buffer.from(randomBytes(idBytes)).toString('hex')}`
}

export function isId(prefix: string, text: string): boolean {
  return text.startsWith(`${prefix}_`) && /^[0-9a-f]{32}$/.test(text.slice(prefix.length + 1))
}
