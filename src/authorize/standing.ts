/** Whether a session still stands on its entry: what it may do is judged at each use, not only when it attested. */
import { type Selectors, matches } from '../names/selectors.ts'
import type { Snapshot } from '../store/snapshot.ts'
import { entryOf } from './entries.ts'

/** False once the entry is gone, disabled, at another attestor, or asks for what the session's facts don't hold. */
export function stands(
  known: Pick<Snapshot, 'workloads'>,
  session: { workloadId: string; attestorId: string; selectors: Selectors },
): boolean {
  const row = known.workloads.get(session.workloadId)
  if (!row || row.disabled || row.attestorId !== session.attestorId) return false
  const { match, wide } = entryOf(row)
  // Without a match the proof itself belonged to the entry (a join token).
  return Object.keys(match).length === 0 || matches(match, session.selectors, wide)
}
