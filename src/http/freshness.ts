/** Where revocation matters, a replica that does not hear from the database says so instead of guessing. */
import { setTimeout as pause } from 'node:timers/promises'
import { refuse } from '../errors.ts'
import type { Permission } from '../operators/permissions.ts'
import type { Snapshot, Snapshots } from '../store/snapshot.ts'

/** Milliseconds (docs/architecture.md, Freshness). */
export const staleAfterMs = 2000
/** How long a request waits for the database's word where the last is too old: a machine may only have been busy. */
const patienceMs = 1000

/**
 * The state, confirmed by the database not longer ago than a revocation may take to be heard everywhere.
 * @throws Refusal `replica_behind`
 */
export async function freshSnapshot(snapshots: Pick<Snapshots, 'current' | 'age' | 'refresh'>): Promise<Snapshot> {
  if (snapshots.age() > staleAfterMs) {
    const asked = snapshots.refresh().catch(() => undefined)
    await Promise.race([asked, pause(patienceMs, undefined, { ref: false })])
    if (snapshots.age() > staleAfterMs) throw refuse('replica_behind', { retryAfterSeconds: 1 })
  }
  return snapshots.current()
}

/** Whoever presents a credential that may have been revoked. Metrics are read most of all while something is wrong. */
export const takesCredential = (permission: Permission): boolean =>
  permission !== 'none' && permission !== 'bootstrap' && permission !== 'metrics.read'
