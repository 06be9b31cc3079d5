/** Formats findings: the worst first, with reason and remedy, then a summary. */
import { type Style, printable } from '../output.ts'
import { type Finding, type Level, levels } from './finding.ts'

const colours = { fail: 'red', warn: 'yellow', note: 'cyan', skipped: 'gray', ok: 'green' } as const

/** Stable: within a level the order of the checks stays, since earlier failures often cause later ones. */
export const worstFirst = (findings: readonly Finding[]): Finding[] =>
  levels.flatMap((level) => findings.filter((finding) => finding.level === level))

export function showFindings(findings: readonly Finding[], style: Style): string {
  const ordered = worstFirst(findings)
  const width = (cells: readonly string[]): number => Math.max(0, ...cells.map((cell) => cell.length))
  const levelWidth = width(ordered.map(({ level }) => level))
  const checkWidth = width(ordered.map(({ check }) => check))
  const indent = ' '.repeat(levelWidth + 2)

  const lines = ordered.flatMap((finding, n) => {
    const label = (finding.level === 'fail' ? 'FAIL' : finding.level).padEnd(levelWidth)
    const head = `${style(colours[finding.level], label)}  ${printable(finding.check).padEnd(checkWidth)}  ${printable(finding.what)}`
    const why = finding.why === undefined ? [] : [`${indent}why  ${printable(finding.why)}`]
    const remedy = finding.do === undefined ? [] : [`${indent}do   ${printable(finding.do)}`]
    // Findings without advice form one block; a blank line separates the others.
    const before = ordered[n - 1]
    const apart = before !== undefined && (hasAdvice(before) || hasAdvice(finding))
    return [...(apart ? [''] : []), head, ...why, ...remedy]
  })
  return `${lines.join('\n')}\n\n${summary(ordered)}\n`
}

const hasAdvice = (finding: Finding): boolean => finding.why !== undefined || finding.do !== undefined

function summary(findings: readonly Finding[]): string {
  const count = (level: Level): number => findings.filter((finding) => finding.level === level).length
  return levels
    .filter((level) => count(level) > 0)
    .map((level) => `${count(level)} ${level}`)
    .join(', ')
}
