import type { Section } from './export-section.ts'
import type { Evidence } from './evidence.ts'
import type { Problem } from './problems.ts'

type Findings = {
  sections: readonly Section[]
  evidence: readonly Evidence[]
  uncovered: readonly Problem[]
  notes: readonly string[]
}

/** Describes in sentences what an export proves and what it does not exclude, with or without problems. */
export function describe({ sections, evidence, uncovered, notes }: Findings): {
  proved: string[]
  notExcluded: string[]
} {
  const proved: string[] = []
  const notExcluded: string[] = []
  for (const section of sections) {
    const { epoch, from, to, head, redacted, sound, signed } = section
    const name = `epoch ${epoch}`
    if (head && signed) proved.push(`${name}: the checkpoint over ${head.size} entries is signed by ${head.origin}`)
    const covered = !uncovered.some((problem) => problem.epoch === epoch)
    if (sound && signed && covered && to > from) {
      proved.push(`${name}: entries ${from} to ${to - 1} are all here, unchanged and in their places`)
    }
    if (redacted > 0) {
      if (sound && signed && covered) {
        proved.push(`${name}: each of the ${redacted} redacted entries is covered by a redaction entry in the log`)
      }
      notExcluded.push(`${name}: anything about the content of the ${redacted} redacted entries`)
    }
    proved.push(...section.evidence.proved.map((sentence) => `${name}: ${sentence}`))
    notExcluded.push(...section.evidence.open.map((sentence) => `${name}: ${sentence}`))
    if (from > 0) notExcluded.push(`${name}: anything about entries 0 to ${from - 1}, which are not in the export`)
    if (head && to < head.size) {
      notExcluded.push(`${name}: anything about entries ${to} to ${head.size - 1}, which are not in the export`)
    }
    if (head) notExcluded.push(`${name}: that entries were appended after the first ${head.size}`)
    if (!evidence.some(({ head }) => head.origin === section.origin)) {
      notExcluded.push(
        `${name}: that the whole log was rewritten and signed again, or its end cut off: no checkpoint or receipt kept elsewhere was given`,
      )
    }
  }
  for (const { name, head } of evidence) {
    if (!sections.some(({ origin }) => origin === head.origin)) {
      notExcluded.push(`anything about the ${name} of ${head.origin}: the export has no section of that log`)
    }
  }
  notExcluded.push(
    ...notes,
    'that the log showed another history to others: no witness was asked',
    'that a key signed something that Purser never recorded',
  )
  return { proved, notExcluded }
}
