import type { Checkpoint } from './checkpoint.ts'
import type { Anchor, Kept } from './kept.ts'
import type { Problem } from './problems.ts'
import type { SectionTree } from './section-tree.ts'

export type Comparison = {
  /** the smallest ranges in which the log is another one than what was kept is signed over */
  differing: Anchor[]
  proved: string[]
  open: string[]
}

/** Holds what was kept elsewhere against the tree of a section of the same log. */
export function compareKept(
  kept: readonly Kept[],
  tree: Pick<SectionTree, 'agrees'>,
  head: Checkpoint | undefined,
  report: (problem: Omit<Problem, 'epoch'>) => void,
): Comparison {
  const differing: Anchor[] = []
  const proved: string[] = []
  const open: string[] = []
  for (const { what, head: keptHead, anchors, index } of kept) {
    if (head && keptHead.size > head.size) {
      const detail =
        `the ${what} is newer than the export: the log had ${keptHead.size} entries, the export's head has ${head.size}. ` +
        `Export the log again and verify that; if its head is below ${keptHead.size} too, the end of the log was removed`
      report({ code: 'tail_cut', index: head.size, to: keptHead.size, detail })
    }
    const verdicts = anchors.map((anchor) => tree.agrees(anchor))
    const wrong = anchors.filter((_, i) => verdicts[i] === false)
    differing.push(...wrong)
    if (wrong.length > 0) continue
    if (keptHead.size === 0 || verdicts.at(-1) === true) {
      proved.push(`the log only grew since the ${what} was made (${keptHead.size} entries)`)
    } else {
      if (index !== undefined && verdicts[0] === true) proved.push(`the ${what} is of the entry that is here`)
      open.push(
        `that the log was another one when the ${what} was made: the export does not hold what it takes to compare`,
      )
    }
  }
  return { differing: smallest(differing), proved, open }
}

/** Those that hold no other one, each once, from left to right. */
function smallest(ranges: readonly Anchor[]): Anchor[] {
  const found: Anchor[] = []
  for (const range of ranges.toSorted((a, b) => a.end - a.begin - (b.end - b.begin))) {
    if (!found.some(({ begin, end }) => begin >= range.begin && end <= range.end)) found.push(range)
  }
  return found.toSorted((a, b) => a.begin - b.begin)
}
