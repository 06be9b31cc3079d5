/**
 * SCRAM-SHA-256 verifiers (RFC 5802, 3; RFC 7677), in the form that Postgres keeps and takes in place of a password: so
 * a password never travels in SQL, and no log of statements shows one.
 */
import { createHash, createHmac, pbkdf2 } from 'node:crypto'
import { promisify } from 'node:util'

const derive = promisify(pbkdf2)

/** As Postgres itself makes them; the passwords have 192 random bits, so that more would protect nothing. */
const iterations = 4096
const saltBytes = 16
const passwordBytes = 24

const hmac = (key: Buffer, text: string): Buffer => createHmac('sha256', key).update(text).digest()
const sha256 = (bytes: Buffer): Buffer => createHash('sha256').update(bytes).digest()

/** 32 characters of ASCII that need no escape anywhere: SASLprep (RFC 4013) leaves them as they are. */
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

/** With a given salt, for what is compared with a server's own. */
export async function verifierWith(password: string, salt: Buffer, rounds = iterations): Promise<string> {
  const salted = await derive(password, salt, rounds, 32, 'sha256')
  const stored = sha256(hmac(salted, 'Client Key'))
  const server = hmac(salted, 'Server Key')
  const base64 = (bytes: Buffer): string => bytes.toString('base64')
  return `SCRAM-SHA-256$${rounds}:${base64(salt)}$${base64(stored)}:${base64(server)}`
}
