/** Entries [from, to) of an epoch. */
export type Run = { epoch: number; from: number; to: number }

/** Sorts runs, and joins those that touch or overlap. */
export function merged(runs: readonly Run[]): Run[] {
  const result: Run[] = []
  for (const run of runs.toSorted((a, b) => a.epoch - b.epoch || a.from - b.from)) {
    const last = result.at(-1)
    if (last?.epoch === run.epoch && last.to >= run.from) last.to = Math.max(last.to, run.to)
    else if (run.from < run.to) result.push({ ...run })
  }
  return result
}

/** The parts of `runs` that are in none of `covers`. Both must be merged. */
export function without(runs: readonly Run[], covers: readonly Run[]): Run[] {
  const result: Run[] = []
  let place = 0
  for (const { epoch, from: start, to } of runs) {
    for (let from = start; from < to;) {
      let cover = covers[place]
      while (cover && (cover.epoch < epoch || (cover.epoch === epoch && cover.to <= from))) cover = covers[(place += 1)]
      const next = cover?.epoch === epoch && cover.from < to ? cover : { from: to, to }
      if (next.from > from) result.push({ epoch, from, to: next.from })
      from = next.to
    }
  }
  return result
}
