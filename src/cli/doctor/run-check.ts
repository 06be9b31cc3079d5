/** Runs a check. An error becomes a finding, and a slow check is announced. */
import { describeError } from '../../telemetry/error.ts'
import { type Io, codeOf } from '../io.ts'
import { remark } from '../output.ts'
import { type Finding, fail, skipped } from './finding.ts'

type Findings = Finding | Finding[]

export type RunCheck = (check: string, work: () => Findings | Promise<Findings>) => Promise<Finding[]>

const patienceMs = 3000

export function createRunCheck(io: Pick<Io, 'stderr'>): RunCheck {
  return async (check, work) => {
    const timer = setTimeout(() => remark(io, `still checking: ${check} …`), patienceMs)
    try {
      return [await work()].flat()
    } catch (error) {
      return [errorFinding(check, error)]
    } finally {
      clearTimeout(timer)
    }
  }
}

/** A message may quote what was read, so only our own messages and codes are shown. */
function errorFinding(check: string, error: unknown): Finding {
  // SQLSTATE insufficient_privilege: the role check reports what is missing.
  if (codeOf(error) === '42501') return skipped(check, 'the role lacks the privilege to read what this check needs')
  const { name, code, message } = describeError(error, { stack: false })
  return fail(check, `the check failed: ${message ?? [name, code].filter(Boolean).join(' ')}`)
}
