/**
 * Authenticated encryption of what the database may hold: AES-256-GCM with full tags and a strict, versioned format,
 * `0x01 ‖ iv (12) ‖ ciphertext ‖ tag (16)`. The associated data binds a ciphertext to its place, so that one moved to
 * another row, version or instance doesn't open.
 */
import { type KeyObject, createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'

const version = 1
const ivBytes = 12
const tagBytes = 16
const overhead = 1 + ivBytes + tagBytes

class EnvelopeError extends Error {
  /** Our own words: a log may show them. */
  readonly safeToLog = true
  constructor(detail: string) {
    super(`the ciphertext does not open: ${detail}`)
    this.name = 'EnvelopeError'
  }
}

/** Fields, each behind its length, so that no two lists of fields give the same bytes. */
function associatedData(fields: readonly string[]): Buffer {
  const parts = [Buffer.from([version])]
  for (const field of fields) {
    const bytes = Buffer.from(field, 'utf8')
    const length = Buffer.alloc(4)
    length.writeUInt32BE(bytes.length)
    parts.push(length, bytes)
  }
  return Buffer.concat(parts)
}

/** @param fields the place of the ciphertext: opening needs the same fields */
export function encrypt(key: KeyObject, plaintext: Buffer, fields: readonly string[]): Buffer {
  const iv = randomBytes(ivBytes)
  const cipher = createCipheriv('aes-256-gcm', key, iv, { authTagLength: tagBytes })
  cipher.setAAD(associatedData(fields))
  const body = Buffer.concat([cipher.update(plaintext), cipher.final()])
  return Buffer.concat([Buffer.from([version]), iv, body, cipher.getAuthTag()])
}

/** @throws EnvelopeError for another format, another place, another key, or a changed byte */
export function decrypt(key: KeyObject, sealed: Buffer, fields: readonly string[]): Buffer {
  if (sealed.length < overhead || sealed[0] !== version) throw new EnvelopeError('unknown format')
  const iv = sealed.subarray(1, 1 + ivBytes)
  // Node accepts shorter tags unless `authTagLength` is set (measured). The length is fixed here.
  const decipher = createDecipheriv('aes-256-gcm', key, iv, { authTagLength: tagBytes })
  decipher.setAAD(associatedData(fields))
  decipher.setAuthTag(sealed.subarray(sealed.length - tagBytes))
  try {
    return Buffer.concat([decipher.update(sealed.subarray(1 + ivBytes, sealed.length - tagBytes)), decipher.final()])
  } catch {
    throw new EnvelopeError('it was changed, moved, or sealed under another key')
  }
}
