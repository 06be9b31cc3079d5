/** Where revocation matters, a replica that has not heard from the database says so instead of guessing. */
import { refuse } from '../errors.ts'
import type { Permission } from '../operators/permissions.ts'

/** DESIGN.md, The log. Milliseconds. */
export const staleAfterMs = 2000

/**
 * @param age milliseconds since the database last confirmed the state
 * @throws Refusal `replica_behind`
 */
export function checkFresh(age: number): void {
  if (age > staleAfterMs) throw refuse('replica_behind', { retryAfterSeconds: 1 })
}

/** Whoever presents a credential that may have been revoked. Metrics are read most of all while something is wrong. */
export const takesCredential = (permission: Permission): boolean =>
  permission !== 'none' && permission !== 'bootstrap' && permission !== 'metrics.read'
