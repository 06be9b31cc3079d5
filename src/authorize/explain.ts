/** Explains a decision: its outcome, with every condition of every entry that was considered. */
import { Refusal, type RefusalCode, type RefusalInfo } from '../errors.ts'
import { type Condition, explainMatch } from '../names/selectors.ts'
import type { Snapshot } from '../store/snapshot.ts'
import { type Decision, type Facts, decide } from './decide.ts'
import { type WorkloadEntry, entriesOf } from './entries.ts'

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
  named: string | undefined,
): Explanation {
  const all = entriesOf(snapshot.workloads, facts.attestor.id).map((entry) => consider(entry, facts))
  const entries = all.sort((a, b) => missing(a) - missing(b)).slice(0, maxEntries)
  const considered = { entries, more: all.length - entries.length }
  try {
    return { ...considered, outcome: 'granted', decision: decide(snapshot, facts, named) }
  } catch (error) {
    if (!(error instanceof Refusal)) throw error
    return { ...considered, outcome: 'refused', reason: error.code, info: error.info }
  }
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
