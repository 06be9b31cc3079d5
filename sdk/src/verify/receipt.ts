import { decodeBase64 } from './base64.ts'
import { isObject, parseCanonical } from './canonical.ts'
import { openCheckpoint, type SignedCheckpoint } from './checkpoint.ts'
import { entryLeaf } from './commitment.ts'
import { VerifyError } from './errors.ts'
import { EMPTY_ROOT, HASH_SIZE, sameHash, verifyConsistency, verifyInclusion } from './merkle.ts'
import type { Vkeys } from './note.ts'
import { parseProof } from './proof.ts'

/** UTF-16 code units. Entries are far shorter; a longer one is refused before parsing. */
const MAX_ENTRY = 1024 * 1024

/** Proof that an entry is in the log, as Purser's API returns it. */
export type Receipt = {
  epoch: number
  index: number
  /** Canonical JSON (RFC 8785): the text that the commitment covers. */
  entry: string
  /** Base64, 32 bytes. */
  nonce: string
  /** C2SP tlog-proof with the signed checkpoint. */
  proof: string
  /** Base64 hashes: a proof that the log only grew since the caller's checkpoint. */
  consistency?: string[]
}

/** An earlier head that the caller kept. `root` may be base64. Set `origin` if known: it also identifies the epoch. */
export type KeptHead = { origin?: string; size: number; root: Uint8Array | string }

export type ReceiptOptions = {
  /** The log's keys, from a place that the issuer of the receipt can't change. */
  vkeys: Vkeys
  /** The required name of the log. */
  origin?: string
  /** The caller's kept head. The receipt's consistency proof must start from it. */
  since?: KeptHead
}

export type VerifiedReceipt = {
  epoch: number
  index: number
  checkpoint: SignedCheckpoint
  entry: Record<string, unknown>
  /** The entry's leaf hash, and the hashes that lead from it to the checkpoint's root. */
  leaf: Buffer
  hashes: Buffer[]
}

/** The epoch is the last part of a log's origin: `<trust domain>/log/<epoch>`. */
export function requireEpoch(origin: string, epoch: number): void {
  if (!Number.isSafeInteger(epoch) || epoch < 1 || !origin.endsWith(`/log/${epoch}`)) {
    throw new VerifyError('origin_mismatch', `the checkpoint is of ${origin}, not of epoch ${epoch}`)
  }
}

/**
 * Verifies a receipt offline: the signed checkpoint, the entry's inclusion at its index, and, with `since`, that the log
 * only grew since that head. Replace the kept head by the returned checkpoint if that is larger.
 * @param receipt untrusted, such as parsed JSON
 * @throws VerifyError `bad_receipt`, `bad_proof`, `bad_note`, `bad_signature`, `bad_key`, `bad_checkpoint`,
 *   `origin_mismatch`, `index_mismatch`, `not_canonical`, `bad_commitment`, `bad_inclusion`, `log_shrank`,
 *   `bad_consistency`
 */
export function verifyReceipt(receipt: unknown, { vkeys, origin, since }: ReceiptOptions): VerifiedReceipt {
  const { epoch, index, entry, nonce, proof, consistency } = requireReceipt(receipt)
  const { index: provenIndex, hashes, checkpoint: note } = parseProof(proof)
  const checkpoint = openCheckpoint(note, vkeys)
  requireEpoch(checkpoint.origin, epoch)
  if (origin !== undefined && checkpoint.origin !== origin) {
    throw new VerifyError('origin_mismatch', `the checkpoint is of ${checkpoint.origin}, not of ${origin}`)
  }
  if (provenIndex !== index)
    throw new VerifyError('index_mismatch', `the proof is for index ${provenIndex}, not ${index}`)
  const parsed = parseCanonical(entry)
  const leaf = entryLeaf(nonce, entry)
  verifyInclusion(index, checkpoint.size, leaf, hashes, checkpoint.root)
  if (since) verifyGrowth(since, checkpoint, consistency ?? [])
  return { epoch, index, checkpoint, entry: parsed, leaf, hashes }
}

/**
 * Checks that a log grew from a kept head to a newer one.
 * @param proof base64 hashes, as in a receipt
 * @throws VerifyError `origin_mismatch`, `log_shrank`, `bad_consistency`
 */
export function verifyGrowth(
  since: KeptHead,
  { origin, size, root }: Pick<SignedCheckpoint, 'origin' | 'size' | 'root'>,
  proof: readonly string[],
): void {
  if (since.origin !== undefined && since.origin !== origin) {
    throw new VerifyError('origin_mismatch', `the kept head is of ${since.origin}, the new one of ${origin}`)
  }
  if (since.size > size) throw new VerifyError('log_shrank', `the log had ${since.size} entries, and now ${size}`)
  const sinceRoot =
    typeof since.root === 'string' ? decodeBase64(since.root, HASH_SIZE, 'bad_consistency') : Buffer.from(since.root)
  const hashes = proof.map((hash) => decodeBase64(hash, HASH_SIZE, 'bad_consistency'))
  if (since.size === 0) {
    // Every tree extends the empty tree, so there is nothing to prove (RFC 6962 §2.1.2 starts at 1).
    if (hashes.length !== 0 || !sameHash(sinceRoot, EMPTY_ROOT)) {
      throw new VerifyError('bad_consistency', 'the kept head is empty but has a root or a proof')
    }
    return
  }
  verifyConsistency(since.size, size, hashes, sinceRoot, root)
}

function requireReceipt(receipt: unknown): Receipt {
  const fail = (why: string): never => {
    throw new VerifyError('bad_receipt', why)
  }
  if (!isObject(receipt)) return fail('a receipt is an object')
  const { epoch, index, entry, nonce, proof, consistency } = receipt
  if (typeof epoch !== 'number' || typeof index !== 'number') return fail('epoch and index are numbers')
  if (typeof entry !== 'string' || entry.length > MAX_ENTRY) return fail('entry is text of at most 1 MiB')
  if (typeof nonce !== 'string' || typeof proof !== 'string') return fail('nonce and proof are text')
  if (consistency === undefined) return { epoch, index, entry, nonce, proof }
  if (!isTexts(consistency) || consistency.length > 64) return fail('consistency is a short list of hashes')
  return { epoch, index, entry, nonce, proof, consistency }
}

const isTexts = (value: unknown): value is string[] =>
  Array.isArray(value) && value.every((item) => typeof item === 'string')
