/** A finding of a check: what is wrong, why it matters, and what to do. */
import { CliError, exitCodes } from '../io.ts'

export const levels = ['fail', 'warn', 'skipped', 'note', 'ok'] as const
export type Level = (typeof levels)[number]

/** `fail`: broken, or a guarantee is lost. `warn`: works, but should be fixed. `note`: worth knowing. */
export type Finding = { level: Level; check: string; what: string; why?: string; do?: string }

type Advice = { why?: string; do?: string }

const findingAt =
  (level: Level) =>
  (check: string, what: string, advice: Advice = {}): Finding => ({ level, check, what, ...advice })

export const fail = findingAt('fail')
export const warn = findingAt('warn')
export const note = findingAt('note')
export const skipped = findingAt('skipped')
export const ok = findingAt('ok')

/** @throws CliError with exit code 1 when findings need attention */
export function requireAttention(count: number): void {
  if (count === 0) return
  throw new CliError(count === 1 ? '1 finding needs attention' : `${count} findings need attention`, exitCodes.failed)
}

export const isWorking = (findings: readonly Finding[]): boolean => findings.every(({ level }) => level !== 'fail')

/** False and undefined: there is nothing to report. */
type Part = Finding | readonly Finding[] | false | undefined

export const collect = (...parts: readonly Part[]): Finding[] => parts.flatMap((part) => part || [])

/** @param otherwise the finding if there is no other */
export function collectOr(otherwise: Finding, ...parts: readonly Part[]): Finding[] {
  const findings = collect(...parts)
  return findings.length > 0 ? findings : [otherwise]
}

/** `a, b, c and 4 more`. */
export function some(names: readonly string[], max = 3): string {
  const more = names.length - max
  return more > 0 ? `${names.slice(0, max).join(', ')} and ${more} more` : names.join(', ')
}

/** `0600`. */
export const modeOf = (mode: number): string => (mode & 0o7777).toString(8).padStart(4, '0')
