/** A refusal of the server (RFC 9457) as words: what, where, and what to do about it. */
import { CliError, exitCodes } from './io.ts'
import { printable } from './output.ts'

export type Problem = {
  code?: string
  title?: string
  detail?: string
  requestId?: string
  errors?: { pointer: string; detail: string }[]
  id?: string
  revision?: number
  workloads?: string[]
}

/** Codes that say the server could not do it now, rather than that it would not. */
const notNow = new Set(['log_unavailable', 'unavailable', 'replica_behind'])

const whatToDo: Record<string, (problem: Problem) => string> = {
  unauthenticated: () => 'set PURSER_API_TOKEN to a live API token; `purser bootstrap` makes the first one',
  token_type: () => 'PURSER_API_TOKEN must be an API token, purser_api_…',
  forbidden: () => 'ask somebody whose role allows it',
  attestation_failed: ({ requestId }) => `an operator sees the reason with: purser explain ${requestId ?? 'req_…'}`,
  stale: ({ revision }) => `it is at revision ${revision ?? 'another'} now: look at it, then try again`,
  several_workloads: ({ workloads = [] }) => `name one with --workload: ${workloads.join(', ')}`,
  already_done: ({ id }) => (id === undefined ? 'it was done before' : `it was done before, and made ${id}`),
  in_use: () => 'remove what uses it first',
  rate_limited: () => 'wait, then try again',
  issuing_closed: () => 'see the server log and `purser log --help`',
  log_unavailable: () => 'nothing was done; try again once the database answers',
  replica_behind: () => 'try again in a moment',
  not_available: () => 'this server is older than the command, or the part is not built yet',
}

/** @param status of the reply, for those that carry no problem of ours */
export function refusalOf(problem: Problem, status: number): CliError {
  const { code = `http_${status}`, title = 'The server refused', detail, requestId, errors = [] } = problem
  const lines = [`${title} (${status} ${code})`]
  if (detail !== undefined) lines.push(`  ${detail}`)
  for (const fault of errors) lines.push(`  ${fault.pointer || '/'}: ${fault.detail}`)
  const advice = whatToDo[code]?.(problem)
  if (advice !== undefined) lines.push(`  what to do: ${advice}`)
  if (requestId !== undefined && !advice?.includes(requestId)) lines.push(`  request: ${requestId}`)
  return new CliError(lines.map(printable).join('\n'), exitCodeOf(code, status), code)
}

function exitCodeOf(code: string, status: number): number {
  if (notNow.has(code)) return exitCodes.unreachable
  return status >= 500 && code !== 'issuing_closed' ? exitCodes.failed : exitCodes.refused
}
