import { PurserError } from '@purser/sdk'
import { CliError, exitCodes } from './io.ts'

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

/** @throws CliError in place of a PurserError */
export async function sdkCall<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof PurserError)) throw error
    throw new CliError(`${error.code}: ${error.message}`, exitCodeOf(error))
  }
}
