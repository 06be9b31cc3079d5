import { parseLine } from './export-lines.ts'
import { openSection, type OpenSection, type Section } from './export-section.ts'
import { checkEpochs } from './export-epochs.ts'
import { describe } from './export-report.ts'
import { openEvidence } from './evidence.ts'
import type { Vkeys } from './note.ts'
import { createProblems, type Problem } from './problems.ts'
import { createRedactions } from './redactions.ts'
import { parseVkey } from './vkey.ts'

export type ExportOptions = {
  /** The log's keys of every epoch in the export, from a place that the exporter can't change. */
  vkeys: Vkeys
  /** Signed checkpoints that were kept outside of the server. */
  checkpoints?: readonly string[]
  /** Receipts that were kept outside of the server. */
  receipts?: readonly unknown[]
}

export type ExportReport = {
  /** No problem was found. `notExcluded` lists what the export can't prove. */
  ok: boolean
  /** Sentences for people. */
  proved: string[]
  notExcluded: string[]
  /** Ordered by epoch and index; at most 1,000. `problemCount` counts all. */
  problems: Problem[]
  problemCount: number
  sections: Section[]
  /** Entries that agree with the tree: those with their text, and redacted ones. */
  entries: number
  redacted: number
}

/**
 * Verifies an audit export offline, line by line, in memory that does not grow with the number of entries in their places.
 * It continues after a problem, and names the index of each, or the smallest range that the hashes allow.
 * @param lines in the format of export-format.ts, without newlines
 * @throws VerifyError `bad_key` for a malformed key of the caller; never for the export or the kept evidence
 */
export async function verifyExport(
  lines: AsyncIterable<string> | Iterable<string>,
  { vkeys, checkpoints, receipts }: ExportOptions,
): Promise<ExportReport> {
  const keys = vkeys.map((vkey) => (typeof vkey === 'string' ? parseVkey(vkey) : vkey))
  const problems = createProblems()
  const redactions = createRedactions()
  const evidence = openEvidence({ ...(checkpoints && { checkpoints }), ...(receipts && { receipts }) }, keys, problems)
  const sections: Section[] = []
  let open: OpenSection | undefined
  let lineNumber = 0

  const closeSection = () => {
    if (open) sections.push(open.close())
    open = undefined
  }

  for await (const text of lines) {
    lineNumber += 1
    if (text === '') continue
    const line = parseLine(text)
    if (line.kind === 'header') {
      closeSection()
      const last = sections.at(-1)
      if (last && line.epoch <= last.epoch) {
        const detail = `the section of epoch ${line.epoch} comes after that of ${last.epoch}`
        problems.add({ code: 'bad_header', epoch: line.epoch, detail })
      }
      open = openSection(line, { vkeys: keys, evidence, problems, redactions })
    } else if (line.kind === 'bad' || !open) {
      const why = line.kind === 'bad' ? line.why : 'it comes before any header'
      const epoch = open ? { epoch: open.epoch } : {}
      problems.add({ code: 'bad_line', ...epoch, detail: `line ${lineNumber}: ${why}` })
    } else if (line.kind === 'hashes') open.hashes(line)
    else open.entry(line)
  }
  closeSection()
  if (sections.length === 0) problems.add({ code: 'bad_header', detail: 'the export has no section' })
  const notes = checkEpochs(sections, problems)
  const uncovered = redactions.uncovered()
  for (const problem of uncovered) problems.add(problem)

  const ok = problems.total === 0
  return {
    ok,
    ...describe({ sections, evidence, uncovered, notes }),
    problems: problems.list().toSorted(byPlace),
    problemCount: problems.total,
    sections,
    entries: sections.reduce((sum, { entries }) => sum + entries, 0),
    redacted: sections.reduce((sum, { redacted }) => sum + redacted, 0),
  }
}

const byPlace = (a: Problem, b: Problem) => (a.epoch ?? 0) - (b.epoch ?? 0) || (a.index ?? -1) - (b.index ?? -1)
