import { openCheckpoint, parseCheckpoint, type Checkpoint } from './checkpoint.ts'
import { VerifyError } from './errors.ts'
import type { EntryLine, HashesLine, HeaderLine, RedactedLine } from './export-lines.ts'
import { compareKept } from './compare-kept.ts'
import type { Kept } from './kept.ts'
import { verifyInclusion } from './merkle.ts'
import { parseNote, type Vkeys } from './note.ts'
import type { Problem, Problems } from './problems.ts'
import { subtreesOf } from './ranges.ts'
import { requireEpoch } from './receipt.ts'
import type { Redactions } from './redactions.ts'
import { createSectionEntries, type Found } from './section-entries.ts'
import { createSectionTree } from './section-tree.ts'

/** What a section turned out to hold. */
export type Section = {
  epoch: number
  origin: string
  from: number
  to: number
  /** the head in its header, and whether a key of the caller's signed it */
  head?: Checkpoint
  signed: boolean
  /** entries with their text, and entries that were redacted */
  entries: number
  redacted: number
  /** no problem is in it */
  sound: boolean
  /** the epoch's first entry, where it is here and proved */
  first?: Record<string, unknown>
  /** what is proved about the things kept elsewhere, and what can't be told about them */
  kept: { proved: string[]; open: string[] }
}

export type OpenSection = {
  epoch: number
  hashes: (line: HashesLine) => void
  entry: (line: EntryLine | RedactedLine) => void
  close: () => Section
}

type Parts = { vkeys: Vkeys; kept: readonly Kept[]; problems: Problems; redactions: Redactions }

/** Verifies one section line by line. Everything wrong is reported and none of it ends the work. */
export function openSection(header: HeaderLine, { vkeys, kept: allKept, problems, redactions }: Parts): OpenSection {
  const { epoch, origin } = header
  const before = problems.total
  const report = (problem: Omit<Problem, 'epoch'>) => problems.add({ ...problem, epoch })
  const { head, signed } = openHead(header, vkeys, report)
  const { from, to } = checkRange(header, head, report)
  const kept = allKept.filter((kept) => kept.head.origin === origin)
  const tree = createSectionTree(kept.flatMap(({ anchors }) => anchors))
  let first: Record<string, unknown> | undefined
  let count = 0
  let redacted = 0

  const places = createSectionEntries({ from, to }, tree, report, (index, found) => {
    if (found === 'redacted') {
      redacted += 1
      redactions.taken(epoch, index)
      return
    }
    count += 1
    if (found === 'bad' || !found.entry) return
    if (index === 0) first = found.entry
    redactions.entry(epoch, index, found.entry)
  })
  tree.addOutside(subtreesOf(0, from), header.left)

  function entry(line: EntryLine | RedactedLine): void {
    const { index } = line
    if (line.epoch !== epoch) {
      report({
        code: 'unexpected_entry',
        index,
        detail: `an entry of epoch ${line.epoch} is in the section of ${epoch}`,
      })
    } else if (line.kind === 'redacted') {
      places.entry(index, 'redacted')
    } else if (line.inclusion) {
      outsideEntry(line, line.inclusion)
    } else {
      if (line.fault) report({ code: 'entry_mismatch', index, detail: line.fault })
      places.entry(index, foundIn(line))
    }
  }

  function outsideEntry({ index, leaf, entry, fault }: EntryLine, inclusion: Buffer[]): void {
    try {
      if (!leaf || !entry || !head)
        throw new VerifyError('bad_inclusion', fault ?? 'there is no checkpoint to prove it by')
      verifyInclusion(index, head.size, leaf, inclusion, head.root)
      redactions.entry(epoch, index, entry)
    } catch (error) {
      if (!(error instanceof VerifyError)) throw error
      report({ code: 'entry_mismatch', index, detail: `an entry outside the range is not proved: ${error.message}` })
    }
  }

  function close(): Section {
    const badBlocks = places.close()
    const isWhole = head !== undefined && !tree.lost
    if (isWhole) tree.addOutside(subtreesOf(to, head.size), header.right)
    const leadsToHead = isWhole && tree.leavesLeadTo(head.root)
    const { differing, ...told } = compareKept(kept, tree, head, report)
    for (const { begin, end } of differing) {
      const place = { index: begin, to: end }
      if (leadsToHead)
        report({ code: 'fork', ...place, detail: 'what was kept elsewhere is signed over other entries here' })
      else
        report({
          code: 'root_mismatch',
          ...place,
          detail: 'these are not the entries that what was kept is signed over',
        })
    }
    if (isWhole && !leadsToHead) {
      const blamed = tree.blocksLeadTo(head.root) ? badBlocks : []
      for (const block of blamed) {
        const detail = 'entries and hashes of this block were changed: its root is another one'
        report({ code: 'block_mismatch', index: block.first, to: block.end, detail })
      }
      if (blamed.length === 0 && differing.length === 0) {
        const detail = 'the entries do not lead to the root of the checkpoint: one or more were changed'
        report({ code: 'root_mismatch', ...(to > from && { index: from, to }), detail })
      }
    } else if (leadsToHead) {
      const detail = 'the root given for this block is not that of its hashes, which are right'
      for (const { first: index, end } of badBlocks) report({ code: 'block_mismatch', index, to: end, detail })
    }
    return {
      epoch,
      origin,
      from,
      to,
      signed,
      entries: count,
      redacted,
      kept: told,
      ...(head && { head }),
      ...(first && { first }),
      sound: problems.total === before && leadsToHead,
    }
  }

  return { epoch, hashes: places.hashes, entry, close }
}

/** Texts are let go at once, but of the entries that say something about others. */
function foundIn({ index, leaf, entry, fault }: EntryLine): Found {
  if (fault !== undefined || !leaf || !entry) return 'bad'
  return index === 0 || entry.action === 'log.redact' ? { leaf, entry } : { leaf }
}

/** The head in a header; one that nobody known signed is still worth comparing with. */
function openHead(
  { checkpoint, origin, epoch }: HeaderLine,
  vkeys: Vkeys,
  report: (problem: Omit<Problem, 'epoch'>) => void,
): { head?: Checkpoint; signed: boolean } {
  try {
    const head = openCheckpoint(checkpoint, vkeys)
    if (head.origin !== origin) throw new VerifyError('origin_mismatch', `the checkpoint is of ${head.origin}`)
    requireEpoch(origin, epoch)
    return { head, signed: true }
  } catch (error) {
    if (!(error instanceof VerifyError)) throw error
    report({ code: 'bad_signature', detail: `the section's checkpoint is not to be trusted: ${error.message}` })
    return { ...readHead(checkpoint), signed: false }
  }
}

function readHead(note: string): { head?: Checkpoint } {
  try {
    return { head: parseCheckpoint(parseNote(note).text) }
  } catch {
    return {}
  }
}

/** Which entries a section has, [from, to); none where the header contradicts itself. */
function checkRange(
  { from, to, left, right }: HeaderLine,
  head: Checkpoint | undefined,
  report: (problem: Omit<Problem, 'epoch'>) => void,
): { from: number; to: number } {
  if (from > to) {
    report({ code: 'bad_header', detail: `the section has no entries from ${from} to ${to}` })
    return { from, to: from }
  }
  if (head && to > head.size)
    report({ code: 'bad_header', detail: `the checkpoint covers ${head.size} entries, not ${to}` })
  else if (left.length !== subtreesOf(0, from).length || (head && right.length !== subtreesOf(to, head.size).length)) {
    report({ code: 'bad_header', detail: 'the hashes left and right of the section do not fit its range' })
  }
  return { from, to }
}
