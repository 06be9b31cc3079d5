/** The login of an operator at the OpenID provider that the server is configured with. */
import { createHash, randomBytes } from 'node:crypto'
import type { Api } from '../api.ts'
import type { Schemas } from '../api-types.ts'
import { CliError, type Io, usageError } from '../io.ts'
import { logInByBrowser } from './browser.ts'
import { createClient } from './client.ts'
import { logInByDevice } from './device.ts'

type Options = {
  /** A device code in place of a browser on this machine. */
  device: boolean
  signal: AbortSignal
  lifetimeSeconds?: number
}

/** @throws CliError when there is no such login, or it is refused */
export async function logInAtProvider(
  io: Pick<Io, 'stderr'>,
  api: Api,
  { device, signal, ...login }: Options,
): Promise<Schemas['LoginSession']> {
  const { operators } = (await api.call('GET', '/api/v1/logins', { token: null })).body
  if (!operators) throw usageError('this server has no OpenID login: log in with a password, as in purser login ada')
  const verifier = randomBytes(32).toString('base64url')
  const challenge = createHash('sha256').update(verifier).digest('base64url')
  const { nonce } = (await api.call('POST', '/api/v1/sessions:nonce', { token: null, body: { challenge } })).body
  const client = await createClient(operators)
  const idToken = await (device ? logInByDevice : logInByBrowser)(io, { client, nonce, needsNonce: true, signal })
  const body = { idToken, verifier, ...login }
  return (await api.call('POST', '/api/v1/sessions:oidc', { token: null, body }).catch(withAdvice)).body
}

/** The server shows no reason, so that a stranger learns no name of an operator. */
function withAdvice(error: unknown): never {
  if (!(error instanceof CliError) || error.code !== 'unauthenticated') throw error
  const message = `the login was refused: no claim gives you a role, or no enabled operator has your name
  what to do: ask an admin, who sees the reason with: purser audit search --action operator.login --outcome refused`
  throw new CliError(message, error.exitCode, error.code)
}
