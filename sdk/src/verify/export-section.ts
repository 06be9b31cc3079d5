import { openCheckpoint, parseCheckpoint, type Checkpoint } from './checkpoint.ts'
import { VerifyError } from './errors.ts'
import type { EntryLine, HeaderLine, RedactedLine } from './export-lines.ts'
import { type Comparison, type Evidence, compareEvidence } from './evidence.ts'
import { verifyInclusion } from './merkle.ts'
import { parseNote, type Vkeys } from './note.ts'
import type { Problem, Problems } from './problems.ts'
import { subtreesOf } from './ranges.ts'
import { requireEpoch } from './receipt.ts'
import type { Redactions } from './redactions.ts'
import { createSectionEntries, type Content } from './section-entries.ts'
import { createSectionTree } from './section-tree.ts'

/** A verified section. */
export type Section = {
  epoch: number
  origin: string
  from: number
  to: number
  /** The head in its header, and whether one of the caller's keys signed it. */
  head?: Checkpoint
  signed: boolean
  /** The number of entries with their text, and of redacted entries. */
  entries: number
  redacted: number
  /** It has no problem. */
  sound: boolean
  /** The first entry of the epoch, if the section has it and proves it. */
  first?: Record<string, unknown>
  /** What kept evidence proves about it, and what it leaves open. */
  evidence: Omit<Comparison, 'differing'>
}

export type OpenSection = ReturnType<typeof openSection>

type Parts = { vkeys: Vkeys; evidence: readonly Evidence[]; problems: Problems; redactions: Redactions }

/** Verifies a section line by line. Problems are reported, and do not end the verification. */
export function openSection(header: HeaderLine, { vkeys, evidence, problems, redactions }: Parts) {
  const { epoch, origin } = header
  const before = problems.total
  const report = (problem: Omit<Problem, 'epoch'>) => problems.add({ ...problem, epoch })
  const { head, signed } = openHead(header, vkeys, report)
  const { from, to } = checkRange(header, head, report)
  const ownEvidence = evidence.filter(({ head }) => head.origin === origin)
  const tree = createSectionTree(ownEvidence.flatMap(({ anchors }) => anchors))
  let first: Record<string, unknown> | undefined
  let count = 0
  let redacted = 0

  const places = createSectionEntries({ from, to }, tree, report, (index, content) => {
    if (content === 'redacted') {
      redacted += 1
      redactions.redacted(epoch, index)
      return
    }
    count += 1
    if (content === 'bad' || !content.entry) return
    if (index === 0) first = content.entry
    redactions.entry(epoch, index, content.entry)
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
      places.entry(index, contentOf(line))
    }
  }

  function outsideEntry({ index, leaf, entry, fault }: EntryLine, inclusion: Buffer[]): void {
    try {
      if (!leaf || !entry || !head) throw new VerifyError('bad_inclusion', fault ?? 'the section has no checkpoint')
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
    const { differing, ...compared } = compareEvidence(ownEvidence, tree, head, report)
    for (const { begin, end } of differing) {
      const code = leadsToHead ? 'fork' : 'root_mismatch'
      report({ code, index: begin, to: end, detail: 'the kept evidence was signed over other entries than these' })
    }
    if (isWhole && !leadsToHead) {
      const blamed = tree.blocksLeadTo(head.root) ? badBlocks : []
      for (const block of blamed) {
        const detail = 'entries and hashes of this block were changed: it has another root'
        report({ code: 'block_mismatch', index: block.first, to: block.end, detail })
      }
      if (blamed.length === 0 && differing.length === 0) {
        const detail = 'the entries do not lead to the root of the checkpoint: some were changed'
        report({ code: 'root_mismatch', ...(to > from && { index: from, to }), detail })
      }
    } else if (leadsToHead) {
      const detail = 'the root of this block is wrong, and its hashes are right'
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
      evidence: compared,
      ...(head && { head }),
      ...(first && { first }),
      sound: problems.total === before && leadsToHead,
    }
  }

  return { epoch, hashes: places.hashes, entry, close }
}

/** Keeps no text in memory, except of entries that concern others. */
function contentOf({ index, leaf, entry, fault }: EntryLine): Content {
  if (fault !== undefined || !leaf || !entry) return 'bad'
  return index === 0 || entry.action === 'log.redact' ? { leaf, entry } : { leaf }
}

/** The head in a header. Without a valid signature, it still serves for comparison. */
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
    report({ code: 'bad_signature', detail: `the section's checkpoint is not trusted: ${error.message}` })
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

/** The entries [from, to) of a section; none if the header contradicts itself. */
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
    report({ code: 'bad_header', detail: 'the hashes left and right of the section do not match its range' })
  }
  return { from, to }
}
