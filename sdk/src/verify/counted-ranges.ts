import type { Problem } from './problems.ts'
import type { Run } from './runs.ts'

/** The range of an older redaction entry, which has no runs: it covers any `left` entries of the range. */
export type CountedRange = Run & { left: number }

/** Subtracts runs of redacted entries from the ranges that contain them. @returns a problem for each uncovered run */
export function coverRanges(runs: readonly Run[], ranges: readonly CountedRange[]): Problem[] {
  const open = ranges.map((range) => ({ ...range }))
  const overspent = new Set<CountedRange>()
  const problems: Problem[] = []

  /** Uses the range that ends first, since later runs may need the others. */
  function cover(run: Run): void {
    const near = open.filter(({ epoch, from, to }) => epoch === run.epoch && from < run.to && to > run.from)
    const bounds = near.flatMap(({ from, to }) => [from, to])
    for (let { from } = run; from < run.to;) {
      const at = from
      const around = near.filter((range) => range.from <= at && at < range.to).toSorted((a, b) => a.to - b.to)
      const range = around.find(({ left }) => left > 0)
      const next = Math.min(run.to, ...bounds.filter((bound) => bound > at))
      from = range ? Math.min(next, at + range.left) : next
      if (range) range.left -= from - at
      else report({ ...run, from: at, to: from }, around.at(-1))
    }
  }

  function report(run: Run, range: CountedRange | undefined): void {
    if (!range) problems.push(notCovered(run))
    else if (!overspent.has(range)) {
      overspent.add(range)
      problems.push(tooMany(range))
    }
  }

  for (const run of runs) cover(run)
  return problems
}

const notCovered = ({ epoch, from, to }: Run): Problem => ({
  code: 'redaction_not_covered',
  epoch,
  index: from,
  ...(to > from + 1 && { to }),
  detail: 'the text is missing, and no redaction entry covers it',
})

const tooMany = ({ epoch, from, to }: Run): Problem => ({
  code: 'redaction_not_covered',
  epoch,
  index: from,
  to,
  detail: 'more texts are missing in this range than its redaction entry covers',
})
