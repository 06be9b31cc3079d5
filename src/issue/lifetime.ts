/** When a credential ends: never after the session, the key that signs it, the entry's maximum, or the request. */
import { refuse } from '../errors.ts'

/** A credential that ends before its reply is read is useless. */
const shortest = 5

/**
 * @param requestedSeconds shortened to the maximum; the expiry in the reply shows it
 * @param ends further ends that bound it
 * @returns whole seconds, since certificates and JWTs can't say more
 * @throws Refusal `expires_too_soon`
 */
export function endOf(now: Date, requestedSeconds: number | undefined, max: number, ends: readonly Date[]): Date {
  const seconds = Math.min(requestedSeconds ?? max, max)
  const end = Math.min(now.getTime() + seconds * 1000, ...ends.map((end) => end.getTime()))
  const whole = Math.floor(end / 1000) * 1000
  if (whole < now.getTime() + shortest * 1000) throw refuse('expires_too_soon')
  return new Date(whole)
}

/** About half of a lifetime from now: clients survive an outage as long as the rest of it. */
export const renewAfter = (now: Date, end: Date): Date =>
  new Date(Math.floor((now.getTime() + (end.getTime() - now.getTime()) / 2) / 1000) * 1000)

/** RFC 3339 in UTC, without milliseconds where there are none. */
export const rfc3339 = (time: Date): string => time.toISOString().replace('.000Z', 'Z')
