import { decodeBase64 } from './base64.ts'
import { hasLoneSurrogate } from './canonical.ts'
import { VerifyError } from './errors.ts'
import { parseVkey, requireKeyName, type NoteSigner, type NoteVerifier } from './vkey.ts'

// C2SP signed-note requires a verifier to accept 16 signatures, and to have a limit. A post-quantum signature has almost 5 kB.
const MAX_SIGNATURES = 64
const MAX_NOTE = 512 * 1024
const DASH = '\u2014 '

/** A signature line. `id` is the key id as 8 hex digits. */
export type NoteSignature = { name: string; id: string; signature: Buffer }

/** A note with unverified signatures. `text` ends in a newline. */
export type ParsedNote = { text: string; signatures: NoteSignature[] }

/** Verifier keys, as text or as results of `parseVkey`. */
export type Vkeys = readonly (string | NoteVerifier)[]

function requireText(text: string, what: string): void {
  if (hasLoneSurrogate(text)) throw new VerifyError('bad_note', `${what} is not valid Unicode`)
  // Below U+0020, only the newline is allowed (C2SP signed-note, Format).
  if (/[^\n\P{Cc}\u007f-\u009f]/u.test(text)) throw new VerifyError('bad_note', `${what} contains a control character`)
}

/**
 * Signs a text: the note is the text, a blank line, and a line for each signer.
 * @param text ends in a newline
 * @throws VerifyError `bad_note`
 */
export function signNote(text: string, signers: readonly NoteSigner[]): string {
  requireText(text, 'the text')
  if (!text.endsWith('\n')) throw new VerifyError('bad_note', 'the text must end in a newline')
  if (signers.length === 0) throw new VerifyError('bad_note', 'a note needs a signature')
  const lines = signers.map(({ name, id, sign }) => formatSignature({ name, id, signature: sign(text) }))
  return `${text}\n${lines.join('')}`
}

/** A signature line with its newline. */
function formatSignature({ name, id, signature }: NoteSignature): string {
  return `${DASH}${name} ${Buffer.concat([Buffer.from(id, 'hex'), signature]).toString('base64')}\n`
}

/**
 * Parses a note into its text and its signatures, without verifying them.
 * @throws VerifyError `bad_note`
 */
export function parseNote(note: unknown): ParsedNote {
  if (typeof note !== 'string') throw new VerifyError('bad_note', 'a note is text')
  if (note.length > MAX_NOTE) throw new VerifyError('bad_note', 'the note is too long')
  requireText(note, 'the note')
  const end = note.lastIndexOf('\n\n')
  if (end === -1 || !note.endsWith('\n')) throw new VerifyError('bad_note', 'a note is text, a blank line, signatures')
  const lines = note.slice(end + 2, -1).split('\n')
  if (lines.length > MAX_SIGNATURES) throw new VerifyError('bad_note', `more than ${MAX_SIGNATURES} signatures`)
  if (new Set(lines).size < lines.length) throw new VerifyError('bad_note', 'a signature line occurs twice')
  return { text: note.slice(0, end + 1), signatures: lines.map(parseSignature) }
}

function parseSignature(line: string): NoteSignature {
  const [, name, encoded] = /^\u2014 ([^ ]+) ([^ ]+)$/u.exec(line) ?? []
  if (name === undefined) throw new VerifyError('bad_note', 'a line after the blank line is not a signature')
  try {
    requireKeyName(name)
  } catch {
    throw new VerifyError('bad_note', 'a signature has a bad key name')
  }
  const bytes = decodeBase64(encoded, undefined, 'bad_note')
  if (bytes.length < 5) throw new VerifyError('bad_note', 'a signature is too short')
  return { name, id: bytes.toString('hex', 0, 4), signature: bytes.subarray(4) }
}

/** Name and id together identify the key of a signature. */
const sameKey = (a: { name: string; id: string }, b: { name: string; id: string }) => a.name === b.name && a.id === b.id

/**
 * Verifies a note. Signatures of unknown keys are ignored. The note is refused if a signature of a known key does not verify,
 * or if it has none.
 * @returns the text, and the names of the keys that signed it
 * @throws VerifyError `bad_note`, `bad_signature`, `bad_key`
 */
export function openNote(note: unknown, vkeys: Vkeys): { text: string; signedBy: string[] } {
  const verifiers = vkeys.map((vkey) => (typeof vkey === 'string' ? parseVkey(vkey) : vkey))
  const { text, signatures } = parseNote(note)
  const signedBy = new Set<string>()
  for (const signature of signatures) {
    // Different keys may share name and id, since 32 bits can be searched. So every matching key must verify.
    for (const key of verifiers.filter((verifier) => sameKey(verifier, signature))) {
      if (!key.verify(text, signature.signature)) {
        throw new VerifyError('bad_signature', `the signature of ${key.name} does not verify`)
      }
      signedBy.add(key.name)
    }
  }
  if (signedBy.size === 0) throw new VerifyError('bad_signature', 'no known key signed the note')
  return { text, signedBy: [...signedBy] }
}
