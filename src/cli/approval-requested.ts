import type { Schemas } from './api-types.ts'
import { CliError, exitCodes } from './io.ts'
import { printable } from './output.ts'

/** Says how to go on once the command has requested an approval. */
export function approvalRequested({ id, action, expiresAt }: Schemas['Approval']): CliError {
  const lines = [
    `${action} needs the approval of a second operator: it is requested, as ${id}`,
    `  what to do: another operator runs: purser approval approve ${id}`,
    `              then run the same command again, before ${expiresAt}, with: --approval ${id}`,
  ]
  return new CliError(lines.map(printable).join('\n'), exitCodes.refused, 'approval_required')
}
