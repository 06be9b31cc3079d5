/** A job whose workload entry grants an operator's rights stores no token: its commands attest. */
import type { Io } from './io.ts'
import { findProof, presentsJoinToken } from './proof-source.ts'
import { asCliError } from './sdk-error.ts'

type Environment = Pick<Io, 'env' | 'readFile'>

/** Whether a command finds a proof without a network. A join token is left alone: attesting uses it up. */
export function hasProof(io: Environment): boolean {
  if (presentsJoinToken(io, {})) return false
  const { ACTIONS_ID_TOKEN_REQUEST_URL: github, PURSER_ID_TOKEN: gitlab } = io.env
  return Boolean(github ?? gitlab) || findProof(io) !== undefined
}

/** The most that an entry permits is an hour. The session may end earlier. */
const lifetimeSeconds = 900

/**
 * An access token of a new session.
 * @param env the environment of the SDK, with the server and its roots
 * @throws CliError
 */
export async function attestedToken(env: Io['env']): Promise<string> {
  // Loaded on demand, so that other verbs start faster.
  const { connect } = await import('@purser/sdk')
  try {
    const purser = await connect({ env, x509: false, accessToken: { lifetimeSeconds } })
    const { token = '' } = purser.accessToken ?? {}
    purser.close()
    return token
  } catch (error) {
    throw asCliError(error)
  }
}
