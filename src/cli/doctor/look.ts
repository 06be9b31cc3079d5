/** Runs one check: whatever happens in it becomes a finding, and nobody waits without a word. */
import type { Io } from '../io.ts'
import { remark } from '../output.ts'
import { describeError } from '../../telemetry/error.ts'
import { type Finding, codeOf, fail, skipped } from './finding.ts'

export type Look = (check: string, work: () => Finding[] | Promise<Finding[]>) => Promise<Finding[]>

const patienceMs = 3000

export function createLook(io: Pick<Io, 'stderr'>): Look {
  return async (check, work) => {
    const timer = setTimeout(() => remark(io, `looking at: ${check} …`), patienceMs)
    try {
      return await work()
    } catch (error) {
      return [unfinished(check, error)]
    } finally {
      clearTimeout(timer)
    }
  }
}

/** A message may quote what was read, so only our own words and codes are shown. */
function unfinished(check: string, error: unknown): Finding {
  // SQLSTATE insufficient_privilege: what the role lacks is a finding of its own.
  if (codeOf(error) === '42501') return skipped(check, 'the role may not read what is needed for it')
  const { name, code, message } = describeError(error, { stack: false })
  return fail(check, `could not be looked at: ${message ?? [name, code].filter(Boolean).join(' ')}`)
}
