import { decodeBase64 } from './base64.ts'
import { VerifyError } from './errors.ts'
import { EMPTY_ROOT, HASH_SIZE, requireSize, sameHash } from './merkle.ts'
import { openNote, signNote, type Vkeys } from './note.ts'
import { requireKeyName, type NoteSigner } from './vkey.ts'

/** A log's head: its name, how many entries it has, and the root over them. */
export type Checkpoint = { origin: string; size: number; root: Buffer }

/** A checkpoint whose signature was verified, with the note that proves it. */
export type SignedCheckpoint = Checkpoint & { note: string; signedBy: string[] }

/**
 * The text of a checkpoint (C2SP tlog-checkpoint), without extension lines: some cosignatures would not cover them.
 * @throws VerifyError `bad_checkpoint`
 */
export function formatCheckpoint({ origin, size, root }: Checkpoint): string {
  requireSize(size, 'size', 'bad_checkpoint')
  requireKeyName(origin)
  if (root.length !== HASH_SIZE) throw new VerifyError('bad_checkpoint', `a root has ${HASH_SIZE} bytes`)
  return `${origin}\n${size}\n${root.toString('base64')}\n`
}

/**
 * Reads the text of a checkpoint. Extension lines are allowed and ignored.
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
  if (size === 0 && !sameHash(root, EMPTY_ROOT)) throw new VerifyError('bad_checkpoint', 'a root over no entries')
  return { origin, size, root }
}

/**
 * Signs a head. The caller answers for it: a log that signs two heads which aren't consistent has forked.
 * @param signers one or more; during the change of a log key, the old and the new one
 * @returns the note
 * @throws VerifyError `bad_checkpoint`, `bad_note`
 */
export function signCheckpoint(origin: string, size: number, root: Buffer, signers: readonly NoteSigner[]): string {
  return signNote(formatCheckpoint({ origin, size, root }), signers)
}

/**
 * Opens a signed checkpoint. At least one known key named like the origin must have signed it: a key of one log, or of
 * a witness, does not speak for another.
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
