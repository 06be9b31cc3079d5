/** The leases that a change of policy may end: checking all of them takes seconds where there are a hundred thousand. */
import type { Snapshot } from '../store/snapshot.ts'

export type Granting = Pick<Snapshot, 'workloads' | 'attestors' | 'databases' | 'blocks'>

/** The leases to check: all, or those of these workload entries. */
export type LeaseScope = 'all' | string[]

/** For more entries, checking all leases is cheaper. */
const maxEntries = 100

/**
 * A newer snapshot shares the maps and rows that did not change: a changed secret, key or token affects no lease.
 */
export function affectedLeases(before: Granting | undefined, snapshot: Granting): LeaseScope {
  if (!before || before.attestors !== snapshot.attestors || before.databases !== snapshot.databases) return 'all'
  if (before.blocks !== snapshot.blocks && hasNewBlock(before, snapshot)) return 'all'
  if (before.workloads === snapshot.workloads) return []
  const changed = new Set<string>()
  for (const [id, row] of snapshot.workloads) if (before.workloads.get(id) !== row) changed.add(id)
  for (const id of before.workloads.keys()) if (!snapshot.workloads.has(id)) changed.add(id)
  return changed.size > maxEntries ? 'all' : [...changed]
}

/** A block of one token or certificate does not end its session's leases. */
function hasNewBlock(before: Granting, snapshot: Granting): boolean {
  for (const [key, block] of snapshot.blocks) {
    if (before.blocks.get(key) === block) continue
    if (block.kind === 'session' || block.kind === 'instance' || block.kind === 'spiffeId') return true
  }
  return false
}
