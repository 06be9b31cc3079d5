/** Errors of the SDK as errors of the command. */
import { PurserError } from '@purser/sdk/connection'
import { CliError, exitCodes } from './io.ts'

/** Any other error stays as it is. */
export const asCliError = (error: unknown): unknown =>
  error instanceof PurserError ? new CliError(`${error.code}: ${error.message}`, exitCodeOf(error)) : error

/** The exit code for an error of the SDK, which also gives the message. */
function exitCodeOf({ code, status }: PurserError): number {
  if (status !== undefined) return status >= 500 ? exitCodes.unreachable : exitCodes.refused
  switch (code) {
    case 'bad_options':
    case 'no_proof':
    case 'bad_proof':
    case 'wrong_audience':
    case 'no_log_key':
      return exitCodes.usage
    case 'receipt_invalid':
    case 'receipt_mismatch':
    case 'log_forked':
    case 'log_epoch':
    case 'bad_state':
      return exitCodes.unverified
    case 'unreachable':
    case 'timeout':
    case 'incomplete':
    case 'untrusted_server':
    case 'fingerprint_mismatch':
      return exitCodes.unreachable
  }
  return exitCodes.failed
}
