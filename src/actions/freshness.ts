/** A replica that does not hear from the database refuses where a revocation might be missing, instead of guessing. */
import { setTimeout as pause } from 'node:timers/promises'
import { refuse } from '../errors.ts'
import type { Snapshot, Snapshots } from '../store/snapshot.ts'

/** Every replica applies a revocation within this time, or refuses. Milliseconds. */
export const staleAfterMs = 2000
/** How long a request waits for a refresh: the machine may only be busy. */
const patienceMs = 1000

/**
 * A snapshot that the database confirmed within `staleAfterMs`.
 * @throws Refusal `replica_behind`
 */
export async function freshSnapshot(snapshots: Pick<Snapshots, 'current' | 'age' | 'refresh'>): Promise<Snapshot> {
  if (snapshots.age() > staleAfterMs) {
    const refreshed = snapshots.refresh().catch(() => undefined)
    await Promise.race([refreshed, pause(patienceMs, undefined, { ref: false })])
    if (snapshots.age() > staleAfterMs) throw refuse('replica_behind', { retryAfterSeconds: 1 })
  }
  return snapshots.current()
}
