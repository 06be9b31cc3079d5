/** A workload entry as the API shows it and as the log keeps it: with the defaults that it is evaluated by. */
import { workloadOf } from '../authorize/entries.ts'
import type { WorkloadRow } from '../store/rows.ts'

export function showWorkload(row: WorkloadRow) {
  return { id: row.id, ...workloadState(row), revision: row.revision }
}

/** What an entry says: for `change.after`, so that policy at any time can be read back from the log alone. */
export function workloadState(row: WorkloadRow) {
  const { grants, requirePodBound, pinIdentity, wide, ...written } = workloadOf(row)
  return {
    ...written,
    grants: grants ?? {},
    requirePodBound: requirePodBound ?? true,
    pinIdentity: pinIdentity ?? false,
    wide: wide ?? false,
    disabled: row.disabled,
  }
}
