/** Explains a decision: its outcome, with every condition of every entry that was considered. */
import { Refusal, type RefusalCode, type RefusalInfo } from '../errors.ts'
import { type Condition, explainMatch } from '../names/selectors.ts'
import type { Snapshot } from '../store/snapshot.ts'
import { type Decision, type Facts, decide } from './decide.ts'
import { type WorkloadEntry, entryOf } from './entries.ts'

export type Considered = {
  workload: { id: string; name: string; revision: number }
  matched: boolean
  disabled: boolean
  conditions: Condition[]
}

export type Explanation = {
  /** Matching entries first, then by the number of failed conditions. */
  entries: Considered[]
  /** The number of further entries that were considered. */
  more: number
} & ({ outcome: 'granted'; decision: Decision } | { outcome: 'refused'; reason: RefusalCode; info: RefusalInfo })

const maxEntries = 50

/** Calls `decide` itself, so that the explanation cannot differ from the decision. */
export function explain(
  snapshot: Pick<Snapshot, 'workloads' | 'trustDomain'>,
  facts: Facts,
  workload: string | undefined,
): Explanation {
  const { entries: all, total } = nearEntries(snapshot.workloads, facts)
  const compared = all.map((entry) => consider(entry, facts))
  const entries = compared.sort(byNearness).slice(0, maxEntries)
  const considered = { entries, more: total - entries.length }
  try {
    return { ...considered, outcome: 'granted', decision: decide(snapshot, facts, workload) }
  } catch (error) {
    if (!(error instanceof Refusal)) throw error
    return { ...considered, outcome: 'refused', reason: error.code, info: error.info }
  }
}

/** By what is missing, then by name. */
const byNearness = (a: Considered, b: Considered): number =>
  missing(a) - missing(b) || (a.workload.name < b.workload.name ? -1 : 1)

/** An explanation compares so many entries, those that may match first. */
const maxCompared = 5_000

function nearEntries(workloads: Snapshot['workloads'], { attestor, selectors, workloadId }: Facts) {
  const likely = workloadId === undefined ? workloads.candidates(attestor.id, selectors) : [workloads.get(workloadId)]
  const rows = new Set(likely)
  for (const row of workloads.ofAttestor(attestor.id)) {
    if (rows.size >= maxCompared) break
    rows.add(row)
  }
  const entries = [...rows].flatMap((row) => (row?.attestorId === attestor.id ? [entryOf(row)] : []))
  return { entries, total: workloads.countOf(attestor.id) }
}

function consider({ row, match, wide }: WorkloadEntry, facts: Facts): Considered {
  const { id, name, revision, disabled } = row
  const isFromToken = facts.workloadId !== undefined
  const conditions = isFromToken ? [] : explainMatch(match, facts.selectors, wide)
  const matched = isFromToken
    ? id === facts.workloadId
    : conditions.length > 0 && conditions.every((condition) => condition.ok)
  return { workload: { id, name, revision }, matched, disabled, conditions }
}

const missing = ({ matched, conditions }: Considered): number =>
  matched ? -1 : conditions.filter((condition) => !condition.ok).length
