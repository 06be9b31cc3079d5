/** The error of a verb whose database cannot be reached. */
import { CliError, codeOf, exitCodes } from './io.ts'

/** @throws CliError with exit code 5 when the database cannot be reached, else the error itself */
export async function refuseUnreachable(error: unknown): Promise<never> {
  // Loaded on demand, so that client verbs load no server code.
  const { isConnectionError } = await import('../store/database.ts')
  const { NoHost } = await import('../store/connect.ts')
  if (!(error instanceof Error) || !isConnectionError(error)) throw error
  const reason = error instanceof NoHost ? error.message : (codeOf(error) ?? 'no answer in time')
  throw new CliError(
    `the database can't be reached (${reason}): check DATABASE_URL, or run \`purser doctor\``,
    exitCodes.unreachable,
  )
}
