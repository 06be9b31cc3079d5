import { createHmac } from 'node:crypto'
import { decodeBase64 } from './base64.ts'
import { VerifyError } from './errors.ts'
import { leafHash } from './merkle.ts'

/** Bytes. The length is fixed, since HMAC pads shorter keys with zeros: two nonces could give one commitment (RFC 2104 §2). */
export const NONCE_SIZE = 32

/**
 * The commitment to an entry, `HMAC-SHA-256(nonce, entry)`, which the tree hashes. Without the nonce it reveals nothing.
 * @param nonce 32 random bytes
 * @param entry canonical JSON text
 * @throws VerifyError `bad_commitment` if the nonce has another length
 */
export function commitment(nonce: Uint8Array, entry: string): Buffer {
  if (nonce.length !== NONCE_SIZE) throw new VerifyError('bad_commitment', `a nonce has ${NONCE_SIZE} bytes`)
  return createHmac('sha256', nonce).update(entry, 'utf8').digest()
}

/**
 * The leaf hash of an entry, from its text and nonce in a receipt or an export.
 * @param nonce base64
 * @throws VerifyError `bad_commitment`
 */
export function entryLeaf(nonce: string, entry: string): Buffer {
  return leafHash(commitment(decodeBase64(nonce, NONCE_SIZE, 'bad_commitment'), entry))
}
