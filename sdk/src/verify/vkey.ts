import { createPublicKey, hash, sign, verify, type KeyObject } from 'node:crypto'
import { decodeBase64 } from './base64.ts'
import { VerifyError } from './errors.ts'

// Ed25519, the only type of signature that Node 20 can check of those that C2SP assigns to logs.
const ED25519 = 0x01
const SPKI_PREFIX = Buffer.from('302a300506032b6570032100', 'hex')

/** A public key that notes are checked with. `id` is the 4-byte key id as 8 hex digits. */
export type NoteVerifier = {
  name: string
  id: string
  verify: (text: string, signature: Uint8Array) => boolean
}

/** A private key that notes are signed with. */
export type NoteSigner = {
  name: string
  id: string
  vkey: string
  sign: (text: string) => Buffer
}

/** Key names are not empty and hold no Unicode space and no plus (C2SP signed-note, Format). */
export function requireKeyName(name: string): void {
  if (name === '' || /[\p{White_Space}\p{Cc}\p{Surrogate}+]/u.test(name)) {
    throw new VerifyError('bad_key', 'a key name is not empty and holds no space, control character or plus')
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
 * A verifier key as text: `name+hex(key id)+base64(type ‖ public key)`.
 * @param key an Ed25519 key, public or private
 * @throws VerifyError `bad_key`
 */
export function formatVkey(name: string, key: KeyObject): string {
  requireKeyName(name)
  const typeAndKey = Buffer.concat([Buffer.of(ED25519), rawPublicKey(key)])
  return `${name}+${keyId(name, typeAndKey)}+${typeAndKey.toString('base64')}`
}

/**
 * Reads a verifier key. Worth keeping: making the key costs more than a signature check.
 * @throws VerifyError `bad_key` when it is malformed, its id is not that of name and key, or it isn't an Ed25519 key
 */
export function parseVkey(vkey: string): NoteVerifier {
  // Only the first two plus signs separate: base64 may hold more.
  const [, name, id, encoded] = /^([^+]*)\+([0-9a-f]{8})\+(.*)$/s.exec(vkey) ?? []
  if (name === undefined || id === undefined) throw new VerifyError('bad_key', 'a verifier key is name+id+key')
  requireKeyName(name)
  const typeAndKey = decodeBase64(encoded, undefined, 'bad_key')
  if (typeAndKey[0] !== ED25519 || typeAndKey.length !== 33) {
    throw new VerifyError('bad_key', 'only Ed25519 verifier keys (type 01) are known')
  }
  if (keyId(name, typeAndKey) !== id) throw new VerifyError('bad_key', 'the key id is not that of name and key')
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
 * A signer of notes.
 * @param privateKey an Ed25519 private key
 * @throws VerifyError `bad_key`
 */
export function createNoteSigner(name: string, privateKey: KeyObject): NoteSigner {
  if (privateKey.type !== 'private') throw new VerifyError('bad_key', 'a signer needs a private key')
  const vkey = formatVkey(name, privateKey)
  const { id } = parseVkey(vkey)
  return { name, id, vkey, sign: (text) => sign(null, Buffer.from(text), privateKey) }
}
