/** Which leases a change of what is granted may end: a look at all of them takes seconds where there are a hundred thousand. */
import type { Snapshot } from '../store/snapshot.ts'

export type Granting = Pick<Snapshot, 'workloads' | 'attestors' | 'databases' | 'blocks'>

/** Whose leases are to be looked at: everybody's, or those of these entries. */
export type Concerned = 'all' | string[]

/** More entries than this, and one look at all is cheaper. */
const maxEntries = 100

/**
 * The snapshot keeps a table's map where nothing of it changed, and a row where it didn't: so a secret, a key or a token that
 * changed concerns no lease.
 */
export function concerned(before: Granting | undefined, known: Granting): Concerned {
  if (!before || before.attestors !== known.attestors || before.databases !== known.databases) return 'all'
  if (before.blocks !== known.blocks && hasNewBlock(before, known)) return 'all'
  if (before.workloads === known.workloads) return []
  const changed = new Set<string>()
  for (const [id, row] of known.workloads) if (before.workloads.get(id) !== row) changed.add(id)
  for (const id of before.workloads.keys()) if (!known.workloads.has(id)) changed.add(id)
  return changed.size > maxEntries ? 'all' : [...changed]
}

/** One of a single token or certificate leaves its session and what that holds. */
function hasNewBlock(before: Granting, known: Granting): boolean {
  for (const [key, block] of known.blocks) {
    if (before.blocks.get(key) === block) continue
    if (block.kind === 'session' || block.kind === 'instance' || block.kind === 'spiffeId') return true
  }
  return false
}
