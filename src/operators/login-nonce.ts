/**
 * The nonce of a login: the server issues it with a MAC, for one client that can show a secret behind it. An ID token with
 * such a nonce was requested for this login, and another client cannot present it.
 */
import { type KeyObject, createHash, createHmac, timingSafeEqual } from 'node:crypto'

/** A person has to find a password or a second factor. */
const lifetimeSeconds = 600

const secondsOf = (time: Date): number => Math.floor(time.getTime() / 1000)

function seal(key: KeyObject, challenge: string, until: number): string {
  const mac = createHmac('sha256', key)
    .update(JSON.stringify(['login nonce', challenge, until]))
    .digest('base64url')
  return `${challenge}.${until}.${mac}`
}

/** @param challenge SHA-256 of the secret of the client, base64url */
export function newNonce(key: KeyObject, challenge: string, now: Date): { nonce: string; expiresAt: Date } {
  const until = secondsOf(now) + lifetimeSeconds
  return { nonce: seal(key, challenge, until), expiresAt: new Date(until * 1000) }
}

/** @returns the end of the nonce, or undefined unless this server issued it for the client with this secret and it has not ended */
export function nonceEnd(key: KeyObject, nonce: unknown, verifier: string, now: Date): Date | undefined {
  if (typeof nonce !== 'string') return undefined
  const [challenge = '', end = ''] = nonce.split('.')
  const until = Number(end)
  // The texts are compared, so that a second spelling is refused.
  const isAuthentic = isEqual(nonce, seal(key, challenge, until))
  const hasSecret = isEqual(challenge, createHash('sha256').update(verifier).digest('base64url'))
  return isAuthentic && hasSecret && until > secondsOf(now) ? new Date(until * 1000) : undefined
}

function isEqual(text: string, expected: string): boolean {
  const [a, b] = [Buffer.from(text), Buffer.from(expected)]
  return a.length === b.length && timingSafeEqual(a, b)
}
