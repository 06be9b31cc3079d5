/** The leases that a change of policy may end: checking all of them takes seconds where there are a hundred thousand. */
import { callerKinds } from '../store/memory/blocks.ts'
import type { Snapshots, SnapshotUpdate } from '../store/snapshot.ts'

/** The leases to check: all, or those of these workload entries. */
type LeaseScope = 'all' | string[]

export type LeaseChanges = {
  /** What to check now. Later changes begin anew. */
  take(): LeaseScope
  /** Adds a scope whose check did not succeed. */
  add(scope: LeaseScope): void
}

/** For more entries, checking all leases is cheaper. */
const maxEntries = 100

/** Collects the changes. At first every lease is to be checked. */
export function collectLeaseChanges(snapshots: Pick<Snapshots, 'onChange'>): LeaseChanges {
  let isAll = true
  let entries = new Set<string>()

  function add(scope: LeaseScope): void {
    if (scope !== 'all') for (const id of scope) entries.add(id)
    if (scope === 'all' || entries.size > maxEntries) isAll = true
    if (isAll) entries = new Set()
  }

  snapshots.onChange(({ rows }) => add(scopeOf(rows)))
  return {
    add,
    take() {
      const scope = isAll ? 'all' : [...entries]
      isAll = false
      entries = new Set()
      return scope
    },
  }
}

/** A changed secret, key or token affects no lease. A block of one token or certificate does not end its session's leases. */
function scopeOf({ attestors, databases, blocks = [], workloads = [] }: SnapshotUpdate['rows']): LeaseScope {
  const blocksCaller = blocks.some(([, row]) => callerKinds.some((kind) => kind === row?.kind))
  if (attestors || databases || blocksCaller) return 'all'
  return workloads.map(([id]) => id)
}
