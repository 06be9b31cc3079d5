import { workloadOf } from '../../authorize/entries.ts'
import type { WorkloadRow } from '../../store/rows.ts'

/**
 * A workload entry with the defaults that it is evaluated by. The log keeps it as `change.after`, so that the policy at
 * any time can be read back from the log alone.
 */
export function workloadState(row: WorkloadRow) {
  const { grants, requirePodBound, pinIdentity, wide, ...definition } = workloadOf(row)
  return {
    ...definition,
    grants: grants ?? {},
    requirePodBound: requirePodBound ?? true,
    pinIdentity: pinIdentity ?? false,
    wide: wide ?? false,
    disabled: row.disabled,
  }
}
