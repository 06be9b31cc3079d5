/** Problems of a workload entry: a pointer, words, and the code of the refusal. */
import type { Problem } from '../errors.ts'
import { NameError } from '../names/errors.ts'

export type EntryProblem = Problem & { code: 'impossible' | 'match_too_wide' }

export const impossible = (pointer: string, detail: string): EntryProblem => ({ code: 'impossible', pointer, detail })
export const tooWide = (pointer: string, detail: string): EntryProblem => ({ code: 'match_too_wide', pointer, detail })

/** An RFC 6901 pointer. */
export const pointer = (...steps: (string | number)[]): string =>
  steps.map((step) => `/${String(step).replaceAll('~', '~0').replaceAll('/', '~1')}`).join('')

/** The rule of names that a parser reports as broken, if any. */
export function brokenRule(at: string, parse: () => unknown): EntryProblem[] {
  try {
    parse()
    return []
  } catch (error) {
    if (!(error instanceof NameError)) throw error
    return [error.code === 'not_wide' ? tooWide(at, error.detail) : impossible(at, error.detail)]
  }
}
