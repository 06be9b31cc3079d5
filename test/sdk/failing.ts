import { PurserError } from '@purser/sdk'
import { expect } from 'vitest'

/** The error of a call that must fail: always the SDK's own error class, whatever the server did. */
export async function failing(work: Promise<unknown>): Promise<PurserError> {
  const error: unknown = await work.then(
    () => 'it was accepted',
    (reason: unknown) => reason,
  )
  if (error instanceof PurserError) return error
  return expect.fail(`not a PurserError: ${String(error)}`)
}
