/** Checkpoints and receipts that an auditor keeps outside of the server, as evidence about an export. */
import { isObject } from './canonical.ts'
import { openCheckpoint, type Checkpoint } from './checkpoint.ts'
import { VerifyError } from './errors.ts'
import type { Vkeys } from './note.ts'
import type { Problem, Problems } from './problems.ts'
import { inclusionRanges } from './ranges.ts'
import { verifyReceipt } from './receipt.ts'
import type { Anchor, SectionTree } from './section-tree.ts'

/** A verified checkpoint or receipt. The last anchor is the head's. `index` is of a receipt's entry. */
export type Evidence = { name: string; head: Checkpoint; index?: number; anchors: Anchor[] }

/** Verifies the evidence. What does not verify is a problem. */
export function openEvidence(
  { checkpoints = [], receipts = [] }: { checkpoints?: readonly string[]; receipts?: readonly unknown[] },
  vkeys: Vkeys,
  problems: Problems,
): Evidence[] {
  const all: Evidence[] = []
  function open(read: () => Evidence, problem: Omit<Problem, 'detail'>): void {
    try {
      all.push(read())
    } catch (error) {
      if (!(error instanceof VerifyError)) throw error
      const detail = `the kept evidence does not verify itself (${error.code}): ${error.message}`
      problems.add({ ...problem, detail })
    }
  }
  for (const note of checkpoints) open(() => readCheckpoint(note, vkeys), { code: 'bad_checkpoint' })
  for (const receipt of receipts) open(() => readReceipt(receipt, vkeys), { code: 'bad_receipt', ...placeOf(receipt) })
  return all
}

function readCheckpoint(note: string, vkeys: Vkeys): Evidence {
  const head = openCheckpoint(note, vkeys)
  return { name: `checkpoint over ${head.size} entries`, head, anchors: anchorsOf(head) }
}

/** The hashes of a receipt's proof cover the whole tree. The nearer a range is to the entry, the smaller it is. */
function readReceipt(receipt: unknown, vkeys: Vkeys): Evidence {
  const { index, checkpoint, leaf, hashes } = verifyReceipt(receipt, { vkeys })
  const siblings = inclusionRanges(index, checkpoint.size).map(([begin, end], i) => ({
    begin,
    end,
    hash: hashes[i] ?? checkpoint.root,
  }))
  const anchors = [{ begin: index, end: index + 1, hash: leaf }, ...siblings, ...anchorsOf(checkpoint)]
  return { name: `receipt of entry ${index}`, head: checkpoint, index, anchors }
}

const anchorsOf = ({ size, root }: Checkpoint): Anchor[] => (size === 0 ? [] : [{ begin: 0, end: size, hash: root }])

/** The place that an unverified receipt names. */
function placeOf(receipt: unknown): { epoch?: number; index?: number } {
  if (!isObject(receipt)) return {}
  const { epoch, index } = receipt
  return { ...(typeof epoch === 'number' && { epoch }), ...(typeof index === 'number' && { index }) }
}

export type Comparison = {
  /** The smallest ranges in which the log differs from the evidence. */
  differing: Anchor[]
  /** Sentences for people: what the evidence proves, and what it leaves open. */
  proved: string[]
  open: string[]
}

/** Compares evidence about a log with the tree of a section of that log. */
export function compareEvidence(
  evidence: readonly Evidence[],
  tree: Pick<SectionTree, 'agrees'>,
  exportHead: Checkpoint | undefined,
  report: (problem: Omit<Problem, 'epoch'>) => void,
): Comparison {
  const differing: Anchor[] = []
  const proved: string[] = []
  const open: string[] = []
  for (const { name, head, anchors, index } of evidence) {
    if (exportHead && head.size > exportHead.size) {
      const detail =
        `the ${name} is newer than the export: the log had ${head.size} entries, the export's head has ${exportHead.size}. ` +
        `Export the log again and verify that; if its head is below ${head.size} too, the end of the log was removed`
      report({ code: 'tail_cut', index: exportHead.size, to: head.size, detail })
    }
    const verdicts = anchors.map((anchor) => tree.agrees(anchor))
    const wrong = anchors.filter((_, i) => verdicts[i] === false)
    differing.push(...wrong)
    if (wrong.length > 0) continue
    if (head.size === 0 || verdicts.at(-1) === true) {
      proved.push(`the log only grew since the ${name} was made (${head.size} entries)`)
    } else {
      if (index !== undefined && verdicts[0] === true) proved.push(`the ${name} matches the entry in the export`)
      open.push(`that the log differed when the ${name} was made: the export lacks the hashes for a comparison`)
    }
  }
  return { differing: smallest(differing), proved, open }
}

/** The ranges that contain no other, each once, from left to right. */
function smallest(ranges: readonly Anchor[]): Anchor[] {
  const result: Anchor[] = []
  for (const range of ranges.toSorted((a, b) => a.end - a.begin - (b.end - b.begin))) {
    if (!result.some(({ begin, end }) => begin >= range.begin && end <= range.end)) result.push(range)
  }
  return result.toSorted((a, b) => a.begin - b.begin)
}
