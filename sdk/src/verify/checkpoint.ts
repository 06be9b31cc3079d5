import { decodeBase64 } from './base64.ts'
import { VerifyError } from './errors.ts'
import { EMPTY_ROOT, HASH_SIZE, requireSize, sameHash } from './merkle.ts'
import { openNote, signNote, type Vkeys } from './note.ts'
import { requireKeyName, type NoteSigner } from './vkey.ts'

/** The head of a log: its name, the number of its entries, and the root over them. */
export type Checkpoint = { origin: string; size: number; root: Buffer }

/** A checkpoint with a verified signature, and its note. */
export type SignedCheckpoint = Checkpoint & { note: string; signedBy: string[] }

/**
 * Formats a checkpoint (C2SP tlog-checkpoint). It has no extension lines, since some cosignatures would not cover them.
 * @throws VerifyError `bad_checkpoint`
 */
export function formatCheckpoint({ origin, size, root }: Checkpoint): string {
  requireSize(size, 'size', 'bad_checkpoint')
  requireKeyName(origin)
  if (root.length !== HASH_SIZE) throw new VerifyError('bad_checkpoint', `a root has ${HASH_SIZE} bytes`)
  return `${origin}\n${size}\n${root.toString('base64')}\n`
}

/**
 * Parses the text of a checkpoint, and ignores extension lines.
 * @throws VerifyError `bad_checkpoint`
 */
export function parseCheckpoint(text: string): Checkpoint {
  const lines = text.split('\n')
  const [origin = '', digits = '', encoded] = lines
  if (lines.length < 4 || lines.pop() !== '' || lines.includes('')) {
    throw new VerifyError('bad_checkpoint', 'a checkpoint is lines of origin, size and root')
  }
  if (!/^(0|[1-9][0-9]{0,15})$/.test(digits))
    throw new VerifyError('bad_checkpoint', 'the size is not a decimal number')
  const size = Number(digits)
  requireSize(size, 'size', 'bad_checkpoint')
  const root = decodeBase64(encoded, HASH_SIZE, 'bad_checkpoint')
  if (size === 0 && !sameHash(root, EMPTY_ROOT))
    throw new VerifyError('bad_checkpoint', 'the root of an empty log is not the hash of nothing')
  return { origin, size, root }
}

/**
 * Signs a head. The caller is responsible for consistency: a log that signs two inconsistent heads has forked.
 * @param signers at least one; during the replacement of a log key, the old and the new one
 * @returns the note
 * @throws VerifyError `bad_checkpoint`, `bad_note`
 */
export function signCheckpoint(origin: string, size: number, root: Buffer, signers: readonly NoteSigner[]): string {
  return signNote(formatCheckpoint({ origin, size, root }), signers)
}

/**
 * Verifies a signed checkpoint. A known key with the name of its origin must have signed it: keys of witnesses and of other
 * logs do not count.
 * @throws VerifyError `bad_note`, `bad_signature`, `bad_key`, `bad_checkpoint`
 */
export function openCheckpoint(note: unknown, vkeys: Vkeys): SignedCheckpoint {
  const { text, signedBy } = openNote(note, vkeys)
  const checkpoint = parseCheckpoint(text)
  if (!signedBy.includes(checkpoint.origin)) {
    throw new VerifyError('bad_signature', `no known key of ${checkpoint.origin} signed its checkpoint`)
  }
  return { ...checkpoint, note: String(note), signedBy }
}
