import { createPublicKey, hash, sign, verify, type KeyObject } from 'node:crypto'
import { decodeBase64 } from './base64.ts'
import { VerifyError } from './errors.ts'

// Ed25519: of the signature types that C2SP assigns to logs, the only one that Node 20 supports.
const ED25519 = 0x01
const SPKI_PREFIX = Buffer.from('302a300506032b6570032100', 'hex')

/** Verifies notes with a public key. `id` is the 4-byte key id as 8 hex digits. */
export type NoteVerifier = {
  name: string
  id: string
  verify: (text: string, signature: Uint8Array) => boolean
}

/** Signs notes with a private key. */
export type NoteSigner = {
  name: string
  id: string
  vkey: string
  sign: (text: string) => Buffer
}

/** A key name is not empty, and contains no Unicode space and no plus (C2SP signed-note, Format). */
export function requireKeyName(name: string): void {
  if (name === '' || /[\p{White_Space}\p{Cc}\p{Surrogate}+]/u.test(name)) {
    throw new VerifyError('bad_key', 'a key name is not empty, and contains no space, control character or plus')
  }
}

/** `SHA-256(name ‖ 0x0A ‖ type ‖ key)[0:4]` */
function keyId(name: string, typeAndKey: Uint8Array): string {
  return hash('sha256', Buffer.concat([Buffer.from(`${name}\n`), typeAndKey]), 'hex').slice(0, 8)
}

function rawPublicKey(key: KeyObject): Buffer {
  if (key.asymmetricKeyType !== 'ed25519') throw new VerifyError('bad_key', 'not an Ed25519 key')
  const publicKey = key.type === 'private' ? createPublicKey(key) : key
  return publicKey.export({ format: 'der', type: 'spki' }).subarray(SPKI_PREFIX.length)
}

/**
 * Formats a verifier key: `name+hex(key id)+base64(type ‖ public key)`.
 * @param key an Ed25519 key, public or private
 * @throws VerifyError `bad_key`
 */
export function formatVkey(name: string, key: KeyObject): string {
  requireKeyName(name)
  const typeAndKey = Buffer.concat([Buffer.of(ED25519), rawPublicKey(key)])
  return `${name}+${keyId(name, typeAndKey)}+${typeAndKey.toString('base64')}`
}

/**
 * Parses a verifier key. Cache the result: it costs more than the verification of a signature.
 * @throws VerifyError `bad_key` for a malformed key, an id that does not match name and key, or another type than Ed25519
 */
export function parseVkey(vkey: string): NoteVerifier {
  // Only the first two plus signs are separators: base64 may contain more.
  const [, name, id, encoded] = /^([^+]*)\+([0-9a-f]{8})\+(.*)$/s.exec(vkey) ?? []
  if (name === undefined || id === undefined) throw new VerifyError('bad_key', 'a verifier key is name+id+key')
  requireKeyName(name)
  const typeAndKey = decodeBase64(encoded, undefined, 'bad_key')
  if (typeAndKey[0] !== ED25519 || typeAndKey.length !== 33) {
    throw new VerifyError('bad_key', 'only Ed25519 verifier keys (type 01) are supported')
  }
  if (keyId(name, typeAndKey) !== id) throw new VerifyError('bad_key', 'the key id does not match name and key')
  const key = importRaw(typeAndKey.subarray(1))
  return {
    name,
    id,
    verify: (text, signature) => signature.length === 64 && verify(null, Buffer.from(text), key, signature),
  }
}

function importRaw(raw: Uint8Array): KeyObject {
  try {
    return createPublicKey({ key: Buffer.concat([SPKI_PREFIX, raw]), format: 'der', type: 'spki' })
  } catch {
    throw new VerifyError('bad_key', 'not an Ed25519 public key')
  }
}

/**
 * Creates a signer of notes.
 * @param privateKey an Ed25519 private key
 * @throws VerifyError `bad_key`
 */
export function createNoteSigner(name: string, privateKey: KeyObject): NoteSigner {
  if (privateKey.type !== 'private') throw new VerifyError('bad_key', 'a signer needs a private key')
  const vkey = formatVkey(name, privateKey)
  const { id } = parseVkey(vkey)
  return { name, id, vkey, sign: (text) => sign(null, Buffer.from(text), privateKey) }
}
