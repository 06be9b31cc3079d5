/** A server's refusal (RFC 9457) as an error with advice. */
import { PurserError, oneLine } from '../errors.ts'
import { isObject } from '../verify/canonical.ts'
import type { Answer } from './http.ts'

type Problem = {
  code: string
  title: string
  detail?: string
  requestId?: string
  errors: { pointer: string; detail: string }[]
  workloads: string[]
}

/** A malformed problem is still a refusal: unreadable members are left out. */
function readProblem(answer: Answer): Problem {
  const problem: Problem = { code: 'refused', title: `status ${answer.status}`, errors: [], workloads: [] }
  let body: unknown
  try {
    body = JSON.parse(answer.text)
  } catch {
    return problem
  }
  if (!isObject(body)) return problem
  const { code, title, detail, requestId, errors, workloads } = body
  if (typeof code === 'string' && /^[a-z][a-z0-9_]{0,63}$/.test(code)) problem.code = code
  if (typeof title === 'string') problem.title = oneLine(title)
  if (typeof detail === 'string') problem.detail = oneLine(detail)
  if (typeof requestId === 'string' && /^req_[A-Za-z0-9_-]{1,64}$/.test(requestId)) problem.requestId = requestId
  if (Array.isArray(errors)) problem.errors = errors.slice(0, 16).flatMap(readPart)
  if (Array.isArray(workloads)) {
    problem.workloads = workloads
      .slice(0, 16)
      .flatMap((workload) => (typeof workload === 'string' ? [oneLine(workload)] : []))
  }
  return problem
}

function readPart(part: unknown): { pointer: string; detail: string }[] {
  if (!isObject(part)) return []
  const { pointer, detail } = part
  return typeof pointer === 'string' && typeof detail === 'string'
    ? [{ pointer: oneLine(pointer), detail: oneLine(detail) }]
    : []
}

function adviceFor({ code, workloads }: Problem, status: number): string | undefined {
  switch (code) {
    case 'several_workloads':
      return `Name one of them by the option workload or PURSER_WORKLOAD: ${workloads.join(', ')}`
    case 'not_granted':
      return 'Request less, or have an operator grant it in the workload entry'
    case 'expires_too_soon':
      return 'Get a fresh proof: this one, or its session, is about to expire'
  }
  if (status === 429 || status === 503) return 'Try again later'
  return undefined
}

/** Seconds of a Retry-After header; undefined for a missing header or a date, which Purser does not send. */
export function retryAfter({ headers }: Answer): number | undefined {
  const value = headers['retry-after']
  return value !== undefined && /^\d{1,6}$/.test(value) ? Number(value) : undefined
}

/** @param purpose of the request, in words */
export function refusalOf(answer: Answer, purpose: string): PurserError {
  const problem = readProblem(answer)
  const header = answer.headers['purser-request-id']
  const requestId =
    problem.requestId ?? (typeof header === 'string' && /^req_[\w-]{1,64}$/.test(header) ? header : undefined)
  const parts = problem.errors.map(({ pointer, detail }) => `${pointer}: ${detail}`).join('; ')
  // The server's title names who may see the reason, and so does the end of this message.
  const title = problem.code === 'attestation_failed' ? 'The proof was not accepted' : problem.title
  const words = [title, problem.detail, parts].filter(Boolean).join(': ')
  const advice = adviceFor(problem, answer.status)
  const explain = requestId === undefined ? '' : `. An operator sees why with: purser explain ${requestId}`
  const message = `Purser refused ${purpose} (${answer.status} ${problem.code}): ${words}${advice === undefined ? '' : `. ${advice}`}${explain}`
  return new PurserError(problem.code, message, {
    requestId,
    status: answer.status,
    detail: problem.detail ?? problem.title,
    retryAfterSeconds: retryAfter(answer),
    errors: problem.errors,
  })
}
