/**
 * A login by authorization code with PKCE (RFC 7636) and a loopback redirect (RFC 8252 section 7.3): the browser of the
 * person returns the code to this command.
 */
import { once } from 'node:events'
import { createServer } from 'node:http'
import { CliError, type Io } from '../io.ts'
import { remark } from '../output.ts'
import type { LoginRequest } from './client.ts'
import { faultOf } from './faults.ts'

const maxWaitMs = 600_000

/**
 * @returns the ID token
 * @throws CliError when the login was denied or took too long, or when the provider's replies are invalid
 */
export async function logInByBrowser(io: Pick<Io, 'stderr'>, { client, nonce, signal }: LoginRequest): Promise<string> {
  const { configuration, login, oidc } = client
  const pkceCodeVerifier = oidc.randomPKCECodeVerifier()
  const state = oidc.randomState()
  const waiting = AbortSignal.any([signal, AbortSignal.timeout(maxWaitMs)])
  const listener = await listen(state, waiting)
  try {
    const link = oidc.buildAuthorizationUrl(configuration, {
      redirect_uri: listener.redirectUri,
      scope: login.scopes.join(' '),
      code_challenge: await oidc.calculatePKCECodeChallenge(pkceCodeVerifier),
      code_challenge_method: 'S256',
      state,
      nonce,
    })
    remark(io, `To log in, open this address in a browser on this machine: ${link.href}`)
    remark(io, 'Without a browser here, use --device')
    const callback = await listener.callback
    const checks = { pkceCodeVerifier, expectedState: state, expectedNonce: nonce, idTokenExpected: true }
    const { id_token: idToken } = await oidc.authorizationCodeGrant(configuration, callback, checks)
    if (idToken === undefined) throw new CliError(`${login.issuer} sent no ID token`)
    return idToken
  } catch (error) {
    throw faultOf(error, login)
  } finally {
    listener.close()
  }
}

/** A server on loopback that takes one redirect. One with another state is of another login, and does not count. */
async function listen(state: string, signal: AbortSignal) {
  let settle: (callback: URL) => void = () => undefined
  let fail: (error: unknown) => void = () => undefined
  const callback = new Promise<URL>((resolve, reject) => ([settle, fail] = [resolve, reject]))
  callback.catch(() => undefined)
  signal.addEventListener('abort', () => fail(signal.reason), { once: true })
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? '/', redirectUri)
    const isOurs = url.pathname === '/callback' && url.searchParams.get('state') === state
    response.writeHead(isOurs ? 200 : 400, { 'content-type': 'text/plain; charset=utf-8', connection: 'close' })
    response.end(isOurs ? 'Return to the terminal. You can close this page.\n' : 'This is not the expected login.\n')
    if (isOurs) settle(url)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (typeof address !== 'object' || !address) throw new Error('no port')
  const { port } = address
  const redirectUri = `http://127.0.0.1:${port}/callback`
  return { redirectUri, callback, close: () => void server.close() }
}
