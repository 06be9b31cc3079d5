/** The end of a verb whose database can't be reached. */
import { CliError, exitCodes } from './io.ts'

/** @throws CliError with exit code 5 where the database can't be reached, else the error itself */
export async function refuseUnreachable(error: unknown): Promise<never> {
  // Loaded here, so that a verb that only asks a server doesn't wait for the code of one.
  const { isConnectionError } = await import('../store/database.ts')
  const { NoHost } = await import('../store/connect.ts')
  if (!(error instanceof Error) || !isConnectionError(error)) throw error
  const code = 'code' in error && typeof error.code === 'string' ? error.code : 'no answer in time'
  const reason = error instanceof NoHost ? error.message : code
  throw new CliError(
    `the database can't be reached (${reason}): see DATABASE_URL; \`purser doctor\` says more`,
    exitCodes.unreachable,
  )
}
