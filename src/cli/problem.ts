/** A refusal of the server (RFC 9457) as a message: what is wrong, where, and what to do. */
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

/** Refusals that may pass: the server could not act now. */
const temporary = new Set(['log_unavailable', 'unavailable', 'replica_behind'])

const remedies: Record<string, (problem: Problem) => string> = {
  unauthenticated: () =>
    'set PURSER_API_TOKEN to a valid API token, or run `purser login`; `purser bootstrap` creates the first one',
  token_type: () => 'set PURSER_API_TOKEN to an API token, purser_api_…',
  forbidden: () => 'ask an operator whose role allows it',
  approval_required: () =>
    'run the command with --reason, so that it requests an approval, or with --approval once it is approved',
  approval_mismatch: () => 'run the command exactly as it was approved, or without --approval to request another one',
  own_request: () => 'ask another operator to approve it',
  attestation_failed: ({ requestId }) => `an operator sees the reason with: purser explain ${requestId ?? 'req_…'}`,
  stale: ({ revision }) =>
    `read the current state${revision === undefined ? '' : `, revision ${revision}`}, then try again`,
  several_workloads: ({ workloads = [] }) => `name one with --workload: ${workloads.join(', ')}`,
  already_done: ({ id }) =>
    id === undefined ? 'nothing: it was done before' : `nothing: it was done before and created ${id}`,
  in_use: () => 'remove the entries that use it first',
  rate_limited: () => 'wait, then try again',
  issuing_closed: () => 'read the server log and `purser log --help`',
  log_unavailable: () => 'try again when the database answers; nothing was done',
  replica_behind: () => 'try again in a moment',
  not_available: () => 'update the server: it is older than this command, or lacks this feature',
}

/** @param status the status of the reply, which names a refusal without a code */
export function refusalOf(problem: Problem, status: number): CliError {
  const { code = `http_${status}`, title = 'The server refused', detail, requestId, errors = [] } = problem
  const lines = [`${title} (${status} ${code})`]
  if (detail !== undefined) lines.push(`  ${detail}`)
  for (const fault of errors) lines.push(`  ${fault.pointer || '/'}: ${fault.detail}`)
  const advice = remedies[code]?.(problem)
  if (advice !== undefined) lines.push(`  what to do: ${advice}`)
  if (requestId !== undefined && !advice?.includes(requestId)) lines.push(`  request: ${requestId}`)
  return new CliError(lines.map(printable).join('\n'), exitCodeOf(code, status), code)
}

function exitCodeOf(code: string, status: number): number {
  if (temporary.has(code)) return exitCodes.unreachable
  return status >= 500 && code !== 'issuing_closed' ? exitCodes.failed : exitCodes.refused
}
