import { parseLine } from './export-lines.ts'
import { openSection, type OpenSection, type Section } from './export-section.ts'
import { checkEpochs } from './export-epochs.ts'
import { describe } from './export-report.ts'
import { openKept } from './kept.ts'
import type { Vkeys } from './note.ts'
import { createProblems, type Problem } from './problems.ts'
import { createRedactions } from './redactions.ts'
import { parseVkey } from './vkey.ts'

export type ExportOptions = {
  /** the log's keys, of every epoch in the export, from a place that the export's maker can't change */
  vkeys: Vkeys
  /** signed checkpoints kept elsewhere */
  checkpoints?: readonly string[]
  /** receipts kept elsewhere */
  receipts?: readonly unknown[]
}

export type ExportReport = {
  /** nothing is wrong; what is not proved is in `notExcluded` all the same */
  ok: boolean
  /** sentences for people */
  proved: string[]
  notExcluded: string[]
  /** by epoch and index; at most 1,000 of them, `problemCount` is how many there were */
  problems: Problem[]
  problemCount: number
  sections: Section[]
  /** entries with their text, and redacted ones, that the tree agrees with */
  entries: number
  redacted: number
}

/**
 * Verifies an audit export offline, line by line: memory does not grow with the number of entries that are in their
 * places. It goes on after a problem and names the index of each, or the smallest range that the hashes allow.
 * @param lines of the format in export-format.ts, without their newlines
 * @throws VerifyError `bad_key` for a verifier key of the caller's; never for what is in the export or was kept
 */
export async function verifyExport(
  lines: AsyncIterable<string> | Iterable<string>,
  { vkeys, checkpoints, receipts }: ExportOptions,
): Promise<ExportReport> {
  const keys = vkeys.map((vkey) => (typeof vkey === 'string' ? parseVkey(vkey) : vkey))
  const problems = createProblems()
  const redactions = createRedactions()
  const kept = openKept({ ...(checkpoints && { checkpoints }), ...(receipts && { receipts }) }, keys, problems)
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
      open = openSection(line, { vkeys: keys, kept, problems, redactions })
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
    ...describe({ sections, kept, uncovered, notes }),
    problems: problems.list().toSorted(byPlace),
    problemCount: problems.total,
    sections,
    entries: sections.reduce((sum, { entries }) => sum + entries, 0),
    redacted: sections.reduce((sum, { redacted }) => sum + redacted, 0),
  }
}

const byPlace = (a: Problem, b: Problem) => (a.epoch ?? 0) - (b.epoch ?? 0) || (a.index ?? -1) - (b.index ?? -1)
