/** The codes of problems of an export. They are stable, like VerifyCode. */
export type ProblemCode =
  | 'bad_line'
  | 'bad_header'
  | 'bad_signature'
  | 'missing_entry'
  | 'duplicate_entry'
  | 'out_of_order'
  | 'unexpected_entry'
  | 'entry_mismatch'
  | 'hashes_missing'
  | 'block_mismatch'
  | 'root_mismatch'
  | 'fork'
  | 'tail_cut'
  | 'redaction_not_covered'
  | 'bad_epoch_start'
  | 'bad_receipt'
  | 'bad_checkpoint'

/** A problem at `index`, or anywhere in [index, to). */
export type Problem = { epoch?: number; index?: number; to?: number; code: ProblemCode; detail: string }

export type Problems = ReturnType<typeof createProblems>

/** Collects problems. Equal problems at adjacent indexes are merged into one with a range. */
export function createProblems(limit = 1000) {
  const problems: Problem[] = []
  // The latest problem of each code, which the next one may continue.
  const latest = new Map<ProblemCode, Problem>()
  let total = 0

  function add(problem: Problem): void {
    const before = latest.get(problem.code)
    if (before && continues(before, problem)) {
      before.to = endOf(problem)
      return
    }
    total += 1
    const copy = { ...problem }
    latest.set(problem.code, copy)
    if (problems.length < limit) problems.push(copy)
  }

  return {
    add,
    /** At most `limit` problems; `total` counts all. */
    list: () => problems,
    get total() {
      return total
    },
  }
}

const endOf = ({ index = 0, to }: Problem) => to ?? index + 1

const continues = (before: Problem, next: Problem) =>
  before.index !== undefined &&
  before.epoch === next.epoch &&
  before.detail === next.detail &&
  endOf(before) === next.index
