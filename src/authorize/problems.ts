/** What is wrong with a workload entry: where, in words, and with which code it is refused. */
import type { Problem } from '../errors.ts'
import { NameError } from '../names/errors.ts'

export type EntryProblem = Problem & { code: 'impossible' | 'match_too_wide' }

export const impossible = (pointer: string, detail: string): EntryProblem => ({ code: 'impossible', pointer, detail })
export const tooWide = (pointer: string, detail: string): EntryProblem => ({ code: 'match_too_wide', pointer, detail })

/** An RFC 6901 pointer. */
export const pointer = (...steps: (string | number)[]): string =>
  steps.map((step) => `/${String(step).replaceAll('~', '~0').replaceAll('/', '~1')}`).join('')

/** The rule of names that reading breaks, if it breaks one. */
export function brokenRule(at: string, read: () => unknown): EntryProblem[] {
  try {
    read()
    return []
  } catch (error) {
    if (!(error instanceof NameError)) throw error
    return [error.code === 'not_wide' ? tooWide(at, error.detail) : impossible(at, error.detail)]
  }
}
