/** A login by device code (RFC 8628): the person confirms a code in any browser while this command waits. */
import type { DeviceAuthorizationResponse } from 'openid-client'
import { CliError, type Io, exitCodes } from '../io.ts'
import { remark } from '../output.ts'
import type { LoginRequest } from './client.ts'
import { faultOf } from './faults.ts'

/**
 * @returns the ID token
 * @throws CliError when the login was denied or took too long, or when the issuer's replies are invalid
 */
export async function logInByDevice(
  io: Pick<Io, 'stderr'>,
  { client, nonce, needsNonce, signal }: LoginRequest,
): Promise<string> {
  const { configuration, login, oidc } = client
  if (configuration.serverMetadata().device_authorization_endpoint === undefined)
    throw new CliError(
      `${login.issuer} offers no device codes (RFC 8628): ask its operators to enable the device authorization grant for the client ${login.clientId}`,
    )
  try {
    const scope = login.scopes.join(' ')
    const device = await oidc.initiateDeviceAuthorization(configuration, { scope, nonce })
    showCode(io, device)
    const tokens = await oidc.pollDeviceAuthorizationGrant(configuration, device, undefined, {
      signal: AbortSignal.any([signal, AbortSignal.timeout(device.expires_in * 1000)]),
    })
    const claims = tokens.claims()
    if (tokens.id_token === undefined || claims === undefined)
      throw new CliError(`${login.issuer} sent no ID token: check that the scopes of the login contain openid`)
    if (claims.nonce !== undefined && claims.nonce !== nonce)
      throw new CliError(
        `the ID token of ${login.issuer} is of another login, so it was not used`,
        exitCodes.unverified,
      )
    if (claims.nonce === undefined && needsNonce)
      throw new CliError(`${login.issuer} returns no nonce for device codes: log in with purser login --oidc`)
    remark(io, `Logged in as ${claims.sub}`)
    return tokens.id_token
  } catch (error) {
    throw faultOf(error, login)
  }
}

function showCode(io: Pick<Io, 'stderr'>, device: DeviceAuthorizationResponse): void {
  const { verification_uri: uri, verification_uri_complete: link, user_code: code, expires_in: seconds } = device
  remark(io, `To log in, open ${uri} in a browser and enter the code ${code}`)
  if (link !== undefined) remark(io, `or open ${link} and compare the code`)
  remark(io, `Waiting for the login. The code expires in ${duration(seconds)}`)
}

const duration = (seconds: number): string =>
  seconds < 120 ? `${seconds} seconds` : `${Math.round(seconds / 60)} minutes`
