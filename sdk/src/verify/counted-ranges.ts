import type { Problem } from './problems.ts'
import type { Run } from './runs.ts'

/** The form of redaction entries before runs: of its range it covers as many entries as `left` says, and not which. */
export type CountedRange = Run & { left: number }

/** Takes runs of entries without their text off the ranges that hold them, and answers what is left uncovered. */
export function spendRanges(runs: readonly Run[], ranges: readonly CountedRange[]): Problem[] {
  const open = ranges.map((range) => ({ ...range }))
  const overspent = new Set<CountedRange>()
  const problems: Problem[] = []

  /** Off the range that ends first: the others may be needed further on. */
  function spend(run: Run): void {
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

  for (const run of runs) spend(run)
  return problems
}

const notCovered = ({ epoch, from, to }: Run): Problem => ({
  code: 'redaction_not_covered',
  epoch,
  index: from,
  ...(to > from + 1 && { to }),
  detail: 'the text is gone, and no redaction entry covers it',
})

const tooMany = ({ epoch, from, to }: Run): Problem => ({
  code: 'redaction_not_covered',
  epoch,
  index: from,
  to,
  detail: 'more texts are gone in this range than its redaction entry covers',
})
