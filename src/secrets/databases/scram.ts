/**
 * SCRAM-SHA-256 verifiers (RFC 5802, 3; RFC 7677) in the form that Postgres stores, and accepts in place of a password:
 * SQL and statement logs never hold a password.
 */
import { createHash, createHmac, pbkdf2 } from 'node:crypto'
import { promisify } from 'node:util'

const derive = promisify(pbkdf2)

/** Postgres's default. Passwords have 192 random bits: more iterations would protect nothing. */
const iterations = 4096
const saltBytes = 16
const passwordBytes = 24

const hmac = (key: Buffer, text: string): Buffer => createHmac('sha256', key).update(text).digest()
const sha256 = (bytes: Buffer): Buffer => createHash('sha256').update(bytes).digest()

/** 32 ASCII characters that need no escaping; SASLprep (RFC 4013) does not change them. */
export const newPassword = (randomBytes: (size: number) => Buffer): string =>
  randomBytes(passwordBytes).toString('base64url')

/**
 * @param password printable ASCII, such as `newPassword` makes
 * @returns `SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>`, which is a secret too
 */
export async function scramVerifier(password: string, randomBytes: (size: number) => Buffer): Promise<string> {
  if (!/^[!-~]+$/.test(password)) throw new Error('a password that is set here is printable ASCII')
  return verifierWith(password, randomBytes(saltBytes))
}

/** A verifier with a known salt, to compare with one of a server. */
export async function verifierWith(password: string, salt: Buffer, rounds = iterations): Promise<string> {
  const salted = await derive(password, salt, rounds, 32, 'sha256')
  const stored = sha256(hmac(salted, 'Client Key'))
  const server = hmac(salted, 'Server Key')
  const base64 = (bytes: Buffer): string => bytes.toString('base64')
  return `SCRAM-SHA-256$${rounds}:${base64(salt)}$${base64(stored)}:${base64(server)}`
}
