/** Findings for people: the worst first, each with its reason and remedy, then what is all right in short. */
import { type Style, printable } from '../output.ts'
import { type Finding, type Level, levels } from './finding.ts'

const colours = { fail: 'red', warn: 'yellow', note: 'cyan', skipped: 'gray', ok: 'green' } as const

/** Stable: what was looked at first, and so is the likeliest cause of what follows, stays first among its equals. */
export const worstFirst = (findings: readonly Finding[]): Finding[] =>
  levels.flatMap((level) => findings.filter((finding) => finding.level === level))

export function showFindings(findings: readonly Finding[], style: Style): string {
  const ordered = worstFirst(findings)
  const width = (cells: readonly string[]): number => Math.max(0, ...cells.map((cell) => cell.length))
  const levelWidth = width(ordered.map(({ level }) => level))
  const checkWidth = width(ordered.map(({ check }) => check))
  const indent = ' '.repeat(levelWidth + 2)

  const lines = ordered.flatMap((one, n) => {
    const label = (one.level === 'fail' ? 'FAIL' : one.level).padEnd(levelWidth)
    const head = `${style(colours[one.level], label)}  ${printable(one.check).padEnd(checkWidth)}  ${printable(one.what)}`
    const why = one.why === undefined ? [] : [`${indent}why  ${printable(one.why)}`]
    const remedy = one.do === undefined ? [] : [`${indent}do   ${printable(one.do)}`]
    // What has no advice stands in one block; each of the others has air before it.
    const before = ordered[n - 1]
    const apart = before !== undefined && (hasAdvice(before) || hasAdvice(one))
    return [...(apart ? [''] : []), head, ...why, ...remedy]
  })
  return `${lines.join('\n')}\n\n${summary(ordered)}\n`
}

const hasAdvice = (one: Finding): boolean => one.why !== undefined || one.do !== undefined

function summary(findings: readonly Finding[]): string {
  const count = (level: Level): number => findings.filter((finding) => finding.level === level).length
  return levels
    .filter((level) => count(level) > 0)
    .map((level) => `${count(level)} ${level}`)
    .join(', ')
}
