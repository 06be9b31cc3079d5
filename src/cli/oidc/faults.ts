/** Errors of a login as messages: what is wrong, and what to do. They quote no token. */
import { CliError, codeOf, exitCodes } from '../io.ts'
import { printable } from '../output.ts'

type Named = { issuer: string; clientId: string }

/** Error codes of issuers (RFC 6749 section 5.2, RFC 8628 section 3.5). */
const faults: Record<string, (login: Named) => CliError> = {
  access_denied: ({ issuer }) =>
    new CliError(
      `the login was denied at ${issuer}: run the command again, and allow it in the browser`,
      exitCodes.refused,
    ),
  expired_token: () => expired(),
  invalid_client: notAllowed,
  unauthorized_client: notAllowed,
  invalid_scope: ({ issuer, clientId }) =>
    new CliError(`${issuer} refuses the scopes of the login for the client ${clientId}: change them in the attestor`),
}

const expired = (): CliError =>
  new CliError('the code expired before the login was confirmed: run the command again', exitCodes.refused)

function notAllowed({ issuer, clientId }: Named): CliError {
  const remedy = 'register a public client there, with the grant that this login uses'
  return new CliError(`${issuer} does not accept the client ${clientId}: ${remedy}`, exitCodes.refused)
}

export function faultOf(error: unknown, login: Named): Error {
  if (error instanceof CliError) return error
  if (!(error instanceof Error)) return new CliError(`the login at ${login.issuer} failed`)
  if (error.cause instanceof CliError) return error.cause
  // openid-client puts the code of an OAuth error reply into `error`.
  const code = 'error' in error && typeof error.error === 'string' ? error.error : undefined
  if (code !== undefined)
    return (
      faults[code]?.(login) ?? new CliError(`${login.issuer} refused the login (${printable(code)})`, exitCodes.refused)
    )
  if (isTimeout(error)) return expired()
  if (isAbort(error)) return new CliError('the login was cancelled')
  const message = `the reply of ${login.issuer} is invalid, so it was not used: ${printable(error.message)} (${codeOf(error) ?? error.name})`
  return new CliError(message, exitCodes.unverified)
}

const namesOf = (error: Error): string[] => [error.name, error.cause instanceof Error ? error.cause.name : '']
const isTimeout = (error: Error): boolean => namesOf(error).includes('TimeoutError')
const isAbort = (error: Error): boolean => namesOf(error).includes('AbortError')
