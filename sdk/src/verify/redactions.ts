import { isObject } from './canonical.ts'
import { type CountedRange, spendRanges } from './counted-ranges.ts'
import type { Problem } from './problems.ts'
import { type Run, merged, without } from './runs.ts'

export type Redactions = {
  /** An entry without its text. */
  taken: (epoch: number, index: number) => void
  /** An entry that is proved to be in the log: it covers others when it is a redaction entry. */
  entry: (epoch: number, index: number, entry: Record<string, unknown>) => void
  readonly count: number
  /** One problem for each run of entries that nothing covers. */
  uncovered: () => Problem[]
}

/** Matches the entries that were taken with the entries that say so. */
export function createRedactions(): Redactions {
  const taken: Run[] = []
  const covers: Run[] = []
  const ranges: CountedRange[] = []
  let count = 0

  return {
    taken(epoch, index) {
      count += 1
      const last = taken.at(-1)
      if (last?.epoch === epoch && last.to === index) last.to = index + 1
      else taken.push({ epoch, from: index, to: index + 1 })
    },
    entry(epoch, index, entry) {
      const { action, outcome, detail } = entry
      if (action !== 'log.redact' || (outcome !== 'granted' && outcome !== 'completed') || !isObject(detail)) return
      if (typeof detail.epoch !== 'number' || detail.epoch > epoch) return
      // A redaction covers what is before it, and never the first entry of an epoch, which names the epoch's origin.
      const last = detail.epoch < epoch ? Infinity : index
      const clip = ({ from, to }: Bounds): Run => ({
        epoch: Number(detail.epoch),
        from: Math.max(from, 1),
        to: Math.min(to, last),
      })
      if ('runs' in detail) for (const run of readRuns(detail.runs)) covers.push(clip(run))
      else for (const { left, ...bounds } of readRange(detail)) ranges.push({ ...clip(bounds), left })
    },
    get count() {
      return count
    },
    uncovered: () => spendRanges(without(merged(taken), merged(covers)), ranges),
  }
}

type Bounds = { from: number; to: number }

const isBounds = (value: unknown): value is [number, number] =>
  Array.isArray(value) &&
  value.length === 2 &&
  value.every((bound) => Number.isSafeInteger(bound)) &&
  value[0] < value[1]

/** Of a list that holds anything else than runs, none. */
function readRuns(value: unknown): Bounds[] {
  if (!Array.isArray(value) || !value.every(isBounds)) return []
  return value.map(([from, to]) => ({ from, to }))
}

function readRange({ from, to, redacted }: Record<string, unknown>): (Bounds & { left: number })[] {
  return isBounds([from, to]) && typeof redacted === 'number'
    ? [{ from: Number(from), to: Number(to), left: redacted }]
    : []
}
