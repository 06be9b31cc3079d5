import { attestorRules } from '../../attest/attest.ts'
import type { Change } from '../../audit/record.ts'
import { outsideBound } from '../../authorize/check-bound.ts'
import { entriesNear, workloadOf } from '../../authorize/entries.ts'
import { type Warning, warningsFor } from '../../authorize/warnings.ts'
import { refuse } from '../../errors.ts'
import type { Bound } from '../../names/bound.ts'
import type { WorkloadRow } from '../../store/rows.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import { written } from '../registrations.ts'

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

export type WrittenWorkload = { row: WorkloadRow; warnings: Warning[] }

/** A write results in the entry as it is now, and in warnings about what is probably not meant. */
export function writtenWorkload(row: WorkloadRow, snapshot: Snapshot): Change<WrittenWorkload> {
  const definition = workloadOf(row)
  const others = entriesNear(snapshot.workloads, row.attestorId, definition.match ?? {}).filter(
    (other) => other.row.id !== row.id && !other.row.disabled,
  )
  const attestor = snapshot.attestors.get(row.attestorId)
  const warnings = row.disabled ? [] : warningsFor(definition, others, attestor && attestorRules(attestor))
  return { result: { row, warnings }, ...written('workload', row, workloadState(row)) }
}

/**
 * An operator without a bound may have written grants beyond the caller's bound into the entry. The caller does not put
 * them to use.
 * @param pointer where the request names the entry
 * @throws Refusal `forbidden`
 */
export function checkGrantsWithin(row: WorkloadRow, bound: Bound | undefined, pointer: string): void {
  if (outsideBound(workloadOf(row), bound).length === 0) return
  const detail = 'the entry grants more than the bound of your token: ask an operator without a bound'
  throw refuse('forbidden', { errors: [{ pointer, detail }] })
}
