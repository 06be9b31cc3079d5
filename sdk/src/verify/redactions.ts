import { isObject } from './canonical.ts'
import { type CountedRange, coverRanges } from './counted-ranges.ts'
import type { Problem } from './problems.ts'
import { type Run, merged, without } from './runs.ts'

export type Redactions = ReturnType<typeof createRedactions>

/** Matches redacted entries with the redaction entries that cover them. */
export function createRedactions() {
  const redacted: Run[] = []
  const covers: Run[] = []
  const ranges: CountedRange[] = []
  let count = 0

  return {
    /** Adds an entry without its text. */
    redacted(epoch: number, index: number): void {
      count += 1
      const last = redacted.at(-1)
      if (last?.epoch === epoch && last.to === index) last.to = index + 1
      else redacted.push({ epoch, from: index, to: index + 1 })
    },
    /** Adds an entry that is proved to be in the log. A redaction entry covers others. */
    entry(epoch: number, index: number, entry: Record<string, unknown>): void {
      const { action, outcome, detail } = entry
      if (action !== 'log.redact' || (outcome !== 'granted' && outcome !== 'completed') || !isObject(detail)) return
      if (typeof detail.epoch !== 'number' || detail.epoch > epoch) return
      // It covers only entries before itself, and never the first entry of an epoch, which names the older log.
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
    /** A problem for each run of redacted entries that no redaction entry covers. */
    uncovered: (): Problem[] => coverRanges(without(merged(redacted), merged(covers)), ranges),
  }
}

type Bounds = { from: number; to: number }

const isBounds = (value: unknown): value is [number, number] =>
  Array.isArray(value) &&
  value.length === 2 &&
  value.every((bound) => Number.isSafeInteger(bound)) &&
  value[0] < value[1]

/** A list with anything but runs counts as empty. */
function readRuns(value: unknown): Bounds[] {
  if (!Array.isArray(value) || !value.every(isBounds)) return []
  return value.map(([from, to]) => ({ from, to }))
}

function readRange({ from, to, redacted }: Record<string, unknown>): (Bounds & { left: number })[] {
  return isBounds([from, to]) && typeof redacted === 'number'
    ? [{ from: Number(from), to: Number(to), left: redacted }]
    : []
}
