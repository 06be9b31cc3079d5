import { isObject } from './canonical.ts'
import type { RedactionDetail } from './export-format.ts'
import type { Problem } from './problems.ts'

type Run = { epoch: number; from: number; to: number }

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
  const runs: Run[] = []
  const covers: Run[] = []
  let count = 0

  return {
    taken(epoch, index) {
      count += 1
      const last = runs.at(-1)
      if (last?.epoch === epoch && last.to === index) last.to = index + 1
      else runs.push({ epoch, from: index, to: index + 1 })
    },
    entry(epoch, index, entry) {
      const cover = coverOf(entry)
      // A redaction can't cover itself or what is appended later (its own epoch), nor a later epoch.
      if (cover && cover.epoch <= epoch) {
        covers.push(cover.epoch < epoch ? cover : { ...cover, to: Math.min(cover.to, index) })
      }
    },
    get count() {
      return count
    },
    uncovered: () =>
      runs.flatMap((run) =>
        gaps(run, covers).map(({ epoch, from, to }): Problem => ({
          code: 'redaction_not_covered',
          epoch,
          index: from,
          ...(to > from + 1 && { to }),
          detail: 'the text is gone, and no redaction entry covers it',
        })),
      ),
  }
}

function coverOf({ action, outcome, detail }: Record<string, unknown>): RedactionDetail | undefined {
  if (action !== 'log.redact' || (outcome !== 'granted' && outcome !== 'completed') || !isObject(detail))
    return undefined
  const { epoch, from, to } = detail
  if (typeof epoch !== 'number' || typeof from !== 'number' || typeof to !== 'number') return undefined
  // The first entry of an epoch is never taken: it says where the epoch came from.
  return { epoch, from: Math.max(from, 1), to }
}

function gaps(run: Run, covers: readonly Run[]): Run[] {
  const found: Run[] = []
  let { from } = run
  for (const cover of covers.filter(({ epoch }) => epoch === run.epoch).toSorted((a, b) => a.from - b.from)) {
    if (cover.from > from) found.push({ ...run, from, to: Math.min(cover.from, run.to) })
    from = Math.max(from, cover.to)
    if (from >= run.to) return found
  }
  return [...found, { ...run, from }]
}
