import type { Section } from './export-section.ts'
import type { Kept } from './kept.ts'
import type { Problem } from './problems.ts'

type Findings = {
  sections: readonly Section[]
  kept: readonly Kept[]
  uncovered: readonly Problem[]
  notes: readonly string[]
}

/** Says in words what an export proves, and what it can't, whether or not anything was found wrong. */
export function describe({ sections, kept, uncovered, notes }: Findings): { proved: string[]; notExcluded: string[] } {
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
      notExcluded.push(`${name}: anything about what the ${redacted} redacted entries said`)
    }
    proved.push(...section.kept.proved.map((one) => `${name}: ${one}`))
    notExcluded.push(...section.kept.open.map((one) => `${name}: ${one}`))
    if (from > 0) notExcluded.push(`${name}: anything about entries 0 to ${from - 1}, which are not in the export`)
    if (head && to < head.size) {
      notExcluded.push(`${name}: anything about entries ${to} to ${head.size - 1}, which are not in the export`)
    }
    if (head) notExcluded.push(`${name}: that entries were appended after the first ${head.size}`)
    if (!kept.some((kept) => kept.head.origin === section.origin)) {
      notExcluded.push(
        `${name}: that the whole log was rewritten and signed again, or its end cut off: no checkpoint or receipt kept elsewhere was given`,
      )
    }
  }
  for (const { what, head } of kept) {
    if (!sections.some(({ origin }) => origin === head.origin)) {
      notExcluded.push(`anything about the ${what} of ${head.origin}: the export has no section of that log`)
    }
  }
  notExcluded.push(
    ...notes,
    'that the log showed others another history: no witness was asked',
    'that a key signed something that Purser never recorded',
  )
  return { proved, notExcluded }
}
