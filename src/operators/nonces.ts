/**
 * Nonces of logins. The server issues a nonce with a MAC, so any replica recognizes it, for one client: a nonce of a login
 * is bound to a secret of the client, and that of an enrolment to the session. A transaction takes each nonce once.
 */
import { type KeyObject, createHash, createHmac, timingSafeEqual } from 'node:crypto'

/** In seconds. At an OpenID provider, a person has to find a password or a second factor. */
const lifetimes = { 'login nonce': 600, 'passkey login': 300, 'passkey enrolment': 300 } as const

/** What a nonce is for. With other facts it is another nonce. */
export type NoncePurpose = { kind: keyof typeof lifetimes; facts?: readonly string[] }

const secondsOf = (time: Date): number => Math.floor(time.getTime() / 1000)

function seal(key: KeyObject, { kind, facts = [] }: NoncePurpose, head: string, until: number): string {
  const mac = createHmac('sha256', key)
    .update(JSON.stringify([kind, ...facts, head, until]))
    .digest('base64url')
  return `${head}.${until}.${mac}`
}

/** @param head SHA-256 of the secret of the client, or random bytes, in base64url */
export function newNonce(
  key: KeyObject,
  purpose: NoncePurpose,
  head: string,
  now: Date,
): { nonce: string; expiresAt: Date } {
  const until = secondsOf(now) + lifetimes[purpose.kind]
  return { nonce: seal(key, purpose, head, until), expiresAt: new Date(until * 1000) }
}

/** @returns the end of the nonce, or undefined unless this server issued it for this purpose and it has not ended */
export function nonceEnd(key: KeyObject, purpose: NoncePurpose, nonce: unknown, now: Date): Date | undefined {
  if (typeof nonce !== 'string') return undefined
  const [head = '', end = ''] = nonce.split('.')
  const until = Number(end)
  // The texts are compared, so that a second spelling is refused.
  return isEqual(nonce, seal(key, purpose, head, until)) && until > secondsOf(now) ? new Date(until * 1000) : undefined
}

/** Whether the nonce was issued for the client with this secret. */
export function hasVerifier(nonce: unknown, verifier: string): boolean {
  const [head = ''] = String(nonce).split('.')
  return isEqual(head, createHash('sha256').update(verifier).digest('base64url'))
}

/** The key of the claim by which a nonce is taken once. */
export const nonceClaim = (nonce: string): Buffer => createHash('sha256').update(`login nonce ${nonce}`).digest()

function isEqual(text: string, expected: string): boolean {
  const [a, b] = [Buffer.from(text), Buffer.from(expected)]
  return a.length === b.length && timingSafeEqual(a, b)
}
