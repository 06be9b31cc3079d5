/** Finds workload entries that break a newer rule. The server still issues by them. */
import { attestorRules } from '../../attest/attest.ts'
import { checkWorkload } from '../../authorize/check-definition.ts'
import { workloadOf } from '../../authorize/entries.ts'
import type { OwnRules } from '../../authorize/entry-rules.ts'
import type { AttestorRow, WorkloadRow } from '../../store/rows.ts'
import { type Finding, collectOr, ok, warn } from './finding.ts'

const check = 'workload entry'

export function checkEntries(
  workloads: readonly WorkloadRow[],
  attestors: readonly AttestorRow[],
  own: OwnRules,
): Finding[] {
  const byId = new Map(attestors.map((row) => [row.id, row]))
  const findings = workloads.map((row) => {
    const attestor = byId.get(row.attestorId)
    return attestor && judge(row, attestor, own)
  })
  return collectOr(ok(check, 'all are valid'), ...findings)
}

function judge(row: WorkloadRow, attestor: AttestorRow, own: OwnRules): Finding | undefined {
  const problems = checkWorkload(workloadOf(row), attestorRules(attestor), own)?.errors ?? []
  if (problems.length === 0) return undefined
  const faults = problems.map(({ pointer, detail }) => `${pointer} ${detail}`).join('; ')
  return warn(check, `${row.name}: ${faults}`, {
    why: 'the server still issues by it, but refuses the next write',
    do: `purser workload get ${row.name} > entry.json, correct it, then: purser workload apply -f entry.json`,
  })
}
