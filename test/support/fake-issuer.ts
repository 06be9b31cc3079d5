/** An issuer of device codes with configurable faults, which no real provider has. */
import { onTestFinished } from 'vitest'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { makeIdentities } from '../outbound/tls-server.ts'

type Answers = {
  /** Claims of the ID token that differ. */
  claims?: Record<string, unknown>
  /** Error codes of the first answers of its token endpoint. */
  replies?: string[]
}

const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')

export async function startFakeIssuer({ claims = {}, replies = [] }: Answers) {
  const { ca, good } = makeIdentities()
  const polls: number[] = []
  let nonce: string | null = null
  const server = createServer(good, (request, response) => {
    const reply = (status: number, body: object): void =>
      void response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
    const now = Math.floor(Date.now() / 1000)
    const answer = (form: URLSearchParams): void => {
      switch (request.url) {
        case '/.well-known/openid-configuration':
          return reply(200, {
            issuer,
            authorization_endpoint: `${issuer}/auth`,
            token_endpoint: `${issuer}/token`,
            device_authorization_endpoint: `${issuer}/device`,
            jwks_uri: `${issuer}/keys`,
            id_token_signing_alg_values_supported: ['ES256'],
          })
        case '/device':
          nonce = form.get('nonce')
          return reply(200, {
            device_code: 'd',
            user_code: 'AAAA-BBBB',
            verification_uri: `${issuer}/device`,
            expires_in: 60,
            interval: 1,
          })
        case '/token': {
          polls.push(Date.now())
          const error = replies.shift()
          if (error !== undefined) return reply(400, { error })
          const token = { iss: issuer, aud: 'purser-cli', sub: 'ada', iat: now, exp: now + 600, nonce, ...claims }
          const idToken = `${part({ alg: 'ES256', kid: 'k' })}.${part(token)}.${'A'.repeat(86)}`
          return reply(200, { access_token: 'a', token_type: 'Bearer', id_token: idToken })
        }
      }
      return reply(404, {})
    }
    void text(request).then((body) => answer(new URLSearchParams(body)))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const issuer = `https://127.0.0.1:${(server.address() as AddressInfo).port}`
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  return { issuer, caPem: ca, polls: (): readonly number[] => polls }
}
