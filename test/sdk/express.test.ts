/** requireIdentity in a real Express 5: which requests pass, and how it answers the others. */
import { once } from 'node:events'
import { type IncomingMessage, createServer, request as startRequest } from 'node:http'
import { request as startTlsRequest } from 'node:https'
import type { AddressInfo, Server as SocketServer } from 'node:net'
import { PurserError } from '@purser/sdk'
import { type IdentityOptions, requireIdentity } from '@purser/sdk/express'
import express from 'express'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import type { Revocation } from '../../sdk/src/jwt/revocation.ts'
import { createVerifier, good, token } from './signed-tokens.ts'
import { createCa, createWorkload, idOf, issue } from './workloads.ts'

type Question = { path?: string; headers?: [string, string][]; method?: string }
type Reply = { status: number; headers: IncomingMessage['headers']; body: Record<string, unknown>; text: string }

const bearer = (value: string): [string, string] => ['Authorization', `Bearer ${value}`]

const read = async (response: IncomingMessage): Promise<Reply> => {
  let text = ''
  for await (const chunk of response) text += String(chunk)
  const body = text === '' ? {} : (JSON.parse(text) as Reply['body'])
  return { status: response.statusCode ?? 0, headers: response.headers, body, text }
}

const listening = async (server: SocketServer): Promise<number> => {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  return (server.address() as AddressInfo).port
}

/** A service whose one route answers with the identity; `passed` counts the requests that reached it. */
function createApp(options: IdentityOptions = { audience: 'payments' }, revocation?: Revocation) {
  const verifier = createVerifier(revocation)
  const state = { passed: 0, refused: [] as PurserError[], faults: [] as unknown[], verifier }
  const purser = { spiffeId: 'spiffe://example.org/lab/server', verifyJwt: verifier.verifyJwt }
  const app = express()
  app.disable('x-powered-by')
  app.use(requireIdentity(purser, { onRefused: (error) => void state.refused.push(error), ...options }))
  app.use((request, response) => {
    state.passed++
    const { spiffeId, by, claims, certificate } = request.identity ?? {}
    response.json({ spiffeId, by, claims, serialNumber: certificate?.serialNumber.toLowerCase() })
  })
  app.use(((error, _request, response, _next) => {
    state.faults.push(error)
    response.status(500).json({})
  }) satisfies express.ErrorRequestHandler)
  return Object.assign(state, { app })
}

async function startApp(options?: IdentityOptions, revocation?: Revocation) {
  const state = createApp(options, revocation)
  const port = await listening(createServer(state.app))
  return Object.assign(state, {
    async ask({ path = '/', headers = [], method = 'GET' }: Question = {}): Promise<Reply> {
      const outgoing = startRequest({ port, host: '127.0.0.1', path, method, agent: false })
      const names = new Set(headers.map(([name]) => name))
      for (const name of names) {
        const values = headers.flatMap(([key, value]) => (key === name ? [value] : []))
        outgoing.setHeader(name, values.length === 1 ? (values[0] ?? '') : values)
      }
      outgoing.end()
      const [response] = (await once(outgoing, 'response')) as [IncomingMessage]
      return read(response)
    },
  })
}

/** The common form of every refusal: a problem without its reason, and not cacheable. */
function expectRefusal(reply: Reply, status: number, challenge: string | undefined): void {
  expect(reply.headers['www-authenticate']).toBe(challenge)
  expect(reply.headers['content-type']).toBe('application/problem+json')
  expect(reply.headers['cache-control']).toBe('no-store')
  expect(reply.status).toBe(status)
  expect(Object.keys(reply.body)).toEqual(['type', 'title', 'status'])
  expect(reply.body.status).toBe(status)
}

const realm = 'Bearer realm="example.org"'
const invalidToken = `${realm}, error="invalid_token"`
const invalidRequest = `${realm}, error="invalid_request"`

test('a valid token puts the identity on the request', async () => {
  const app = await startApp()
  expect((await app.ask({ headers: [bearer(token())] })).body).toEqual({
    spiffeId: good.sub,
    by: 'jwt',
    claims: good,
  })
  expect((await app.ask({ headers: [['authorization', `bEARER ${token()}`]] })).status).toBe(200)
})

describe('without credentials', () => {
  test.each<[string, Question]>([
    ['nothing', {}],
    ['another scheme', { headers: [['Authorization', 'Basic dXNlcjpwYXNz']] }],
    ['a longer scheme', { headers: [['Authorization', `Bearers ${token()}`]] }],
    ['a token in another header', { headers: [['X-Authorization', `Bearer ${token()}`]] }],
    ['a token in a cookie', { headers: [['Cookie', `access_token=${token()}`]] }],
    ['a certificate in a header', { headers: [['X-Forwarded-Client-Cert', `URI=${good.sub}`]] }],
  ])('%s: 401 without an error', async (_, question) => {
    const app = await startApp()
    expectRefusal(await app.ask(question), 401, realm)
    expect([app.passed, app.refused[0]?.code]).toEqual([0, 'unauthenticated'])
  })
})

describe('with more or less than one token', () => {
  const whole = token()
  test.each<[string, Question]>([
    ['two headers', { headers: [bearer(whole), bearer(whole)] }],
    ['two headers, the first of another scheme', { headers: [['Authorization', 'Basic dTpw'], bearer(whole)] }],
    ['two, joined by a comma', { headers: [['Authorization', `Bearer ${whole}, Bearer ${whole}`]] }],
    ['two tokens', { headers: [['Authorization', `Bearer ${whole} ${whole}`]] }],
    ['two spaces', { headers: [['Authorization', `Bearer  ${whole}`]] }],
    ['a tab', { headers: [['Authorization', `Bearer\t${whole}`]] }],
    ['no token', { headers: [['Authorization', 'Bearer']] }],
    ['a parameter', { headers: [['Authorization', `Bearer token="${whole}"`]] }],
    ['one in the query', { path: `/?access_token=${whole}` }],
    ['one in the query, escaped', { path: `/?a=1&%61ccess_token=${whole}` }],
    ['one in the query and one in the header', { path: `/?access_token=${whole}`, headers: [bearer(whole)] }],
  ])('%s: 400', async (_, question) => {
    const app = await startApp()
    const reply = await app.ask(question)
    expectRefusal(reply, 400, invalidRequest)
    expect([app.passed, app.refused[0]?.code]).toEqual([0, 'bad_authorization'])
    expect(app.refused[0]?.message).not.toContain(whole)
  })

  test('a query under a router is considered too', async () => {
    const verifier = createVerifier()
    const app = express()
    const purser = { spiffeId: 'spiffe://example.org/lab/server', verifyJwt: verifier.verifyJwt }
    app.use('/api', requireIdentity(purser, { audience: 'payments' }), (_, response) => void response.json({}))
    const port = await listening(createServer(app))
    const response = await fetch(`http://127.0.0.1:${port}/api/x?access_token=${whole}`)
    expect(response.status).toBe(400)
  })
})

describe('with an invalid token', () => {
  test.each([
    ['no JWT', 'x'],
    ['for another audience', token({ aud: ['ledger'] })],
    ['over', token({ iat: 1, nbf: 1, exp: 2 })],
    ['of another trust domain', token({ sub: 'spiffe://evil.example/lab/web' })],
    ['unsigned', token().replace(/\.[^.]*$/, '.AAAA')],
  ])('%s: 401 with the same answer', async (_, token) => {
    const app = await startApp()
    expectRefusal(await app.ask({ headers: [bearer(token)] }), 401, invalidToken)
    expect([app.passed, app.refused[0]?.code]).toEqual([0, 'bad_token'])
  })

  test('a revoked token gets the same answer', async () => {
    const app = await startApp({ audience: 'payments' }, () => Promise.reject(new PurserError('revoked', 'it was')))
    expectRefusal(await app.ask({ headers: [bearer(token())] }), 401, invalidToken)
    expect([app.passed, app.refused[0]?.code]).toEqual([0, 'revoked'])
  })

  test('HEAD gets the same answer without a body', async () => {
    const app = await startApp()
    const reply = await app.ask({ method: 'HEAD', headers: [bearer('x')] })
    expect([reply.status, reply.headers['www-authenticate'], reply.text]).toEqual([401, invalidToken, ''])
  })
})

test('a caller that is not accepted: 403', async () => {
  const app = await startApp({ audience: 'payments', accept: ['spiffe://example.org/lab/shop'] })
  expectRefusal(await app.ask({ headers: [bearer(token())] }), 403, `${realm}, error="insufficient_scope"`)
  expect((await app.ask({ headers: [bearer(token({ sub: 'spiffe://example.org/lab/shop' }))] })).status).toBe(200)
  expect([app.passed, app.refused.map(({ code }) => code)]).toEqual([1, ['bad_peer']])
})

describe('when the keys are unavailable', () => {
  test.each([
    [new PurserError('unreachable', 'away'), '5'],
    [new PurserError('timeout', 'slow'), '5'],
    [new PurserError('log_unavailable', 'busy', { status: 503, retryAfterSeconds: 17 }), '17'],
    [new PurserError('untrusted_server', 'another server'), '5'],
    [new PurserError('closed', 'closed'), '5'],
  ])('$code: 503 with Retry-After', async (error, seconds) => {
    const app = await startApp()
    app.verifier.next = error
    const reply = await app.ask({ headers: [bearer(token({}, { kid: 'not known yet' }))] })
    expectRefusal(reply, 503, undefined)
    expect(reply.headers['retry-after']).toBe(seconds)
    expect(app.passed).toBe(0)
  })

  test('a fault of the SDK reaches the error handler of the service', async () => {
    const fault = new TypeError('on purpose')
    const app = await startApp({ audience: 'payments' }, () => Promise.reject(fault))
    expect((await app.ask({ headers: [bearer(token())] })).status).toBe(500)
    expect([app.passed, app.faults]).toEqual([0, [fault]])
  })

  test('an error thrown by onRefused reaches it too, and the request does not pass', async () => {
    const fault = new TypeError('on purpose')
    const onRefused = (): never => {
      throw fault
    }
    const app = await startApp({ audience: 'payments', onRefused })
    expect((await app.ask()).status).toBe(500)
    expect([app.passed, app.faults]).toEqual([0, [fault]])
  })
})

test('a later rejection of onRefused is a warning, and the refusal is answered', async () => {
  const warned = new Promise<string>((resolve) => {
    const hear = ({ name, message }: Error): void => {
      if (name !== 'PurserWarning') return
      process.off('warning', hear)
      resolve(message)
    }
    process.on('warning', hear)
  })
  const onRefused = (): Promise<void> => Promise.reject(new TypeError('on purpose'))
  const app = await startApp({ audience: 'payments', onRefused })
  expect((await app.ask()).status).toBe(401)
  expect(await warned).toBe('onRefused rejected: on purpose')
})

test('a response that was already sent stays', async () => {
  const app = createApp({ audience: 'payments' })
  const earlyApp = express()
  earlyApp.use((_, response, next) => {
    response.status(504).json({})
    next()
  }, app.app)
  const port = await listening(createServer(earlyApp))
  expect((await fetch(`http://127.0.0.1:${port}/`)).status).toBe(504)
  expect((await fetch(`http://127.0.0.1:${port}/`)).status).toBe(504)
  expect([app.passed, app.faults]).toEqual([0, []])
})

describe('over mutual TLS', () => {
  async function startTls(options?: IdentityOptions) {
    const ca = createCa()
    const server = createWorkload(issue(ca, idOf('server')))
    const client = createWorkload(issue(ca))
    const state = createApp(options)
    const port = await listening(server.tls.server({ accept: idOf('*') }, state.app))
    return Object.assign(state, {
      client,
      async ask(headers: Record<string, string> = {}): Promise<Reply> {
        const peer = client.tls.client({ accept: idOf('server') })
        const outgoing = startTlsRequest({ port, host: '127.0.0.1', agent: false, headers, ...peer })
        outgoing.end()
        const [response] = (await once(outgoing, 'response')) as [IncomingMessage]
        return read(response)
      },
    })
  }

  test('the peer sets the identity', async () => {
    const app = await startTls({})
    const { body } = await app.ask()
    expect(body).toEqual({ spiffeId: idOf('web'), by: 'mtls', serialNumber: app.client.x509.serialNumber })
  })

  test('over tls.socketServer, which checks no requests: a peer with an expired certificate has no identity', async () => {
    const ca = createCa()
    const server = createWorkload(issue(ca, idOf('server')))
    const state = createApp({})
    const http = createServer(state.app)
    const port = await listening(
      server.tls.socketServer({ accept: idOf('*') }, (socket) => void http.emit('connection', socket)),
    )
    const agent = createWorkload(issue(ca)).tls.agent({ accept: idOf('server') })
    onTestFinished(() => agent.destroy())
    const ask = async (): Promise<Reply> => {
      const outgoing = startTlsRequest({ port, host: '127.0.0.1', agent })
      outgoing.end()
      const [response] = (await once(outgoing, 'response')) as [IncomingMessage]
      return read(response)
    }
    expect((await ask()).body).toMatchObject({ by: 'mtls', spiffeId: idOf('web') })
    // The service has this process's clock, and the client of the test its own.
    const real = Date.now
    vi.spyOn(Date, 'now').mockImplementation(() => real() + 3_600_000)
    onTestFinished(() => void vi.restoreAllMocks())
    expectRefusal(await ask(), 403, undefined)
    expect([state.passed, state.refused[0]?.code]).toEqual([1, 'unauthenticated'])
    expect(state.refused[0]?.message).toContain('has expired')
  })

  test('a token takes precedence over the peer, which does not replace an invalid token', async () => {
    const app = await startTls({ audience: 'payments' })
    const other = token({ sub: idOf('other') })
    expect((await app.ask({ authorization: `Bearer ${other}` })).body).toMatchObject({
      by: 'jwt',
      spiffeId: idOf('other'),
    })
    expect((await app.ask()).body).toMatchObject({ by: 'mtls', spiffeId: idOf('web') })
    expectRefusal(await app.ask({ authorization: 'Bearer x' }), 401, invalidToken)
    expectRefusal(await app.ask({ authorization: 'Basic x' }), 401, realm)
  })

  test('without an audience the Authorization header belongs to the service', async () => {
    const app = await startTls({})
    expect((await app.ask({ authorization: 'Basic x' })).body).toMatchObject({ by: 'mtls' })
  })

  test('mtls: false ignores the peer', async () => {
    const app = await startTls({ audience: 'payments', mtls: false })
    expectRefusal(await app.ask(), 401, realm)
  })

  test('a peer that is not accepted: 403', async () => {
    const app = await startTls({ accept: idOf('other') })
    expectRefusal(await app.ask(), 403, undefined)
  })

  test('a connection outside purser.tls has no peer, whatever certificate it presents', async () => {
    const app = await startApp({})
    // 401 would have to say how to authenticate, which is impossible over this connection.
    expectRefusal(await app.ask({ headers: [bearer(token())] }), 403, undefined)
    expect(app.refused[0]?.code).toBe('unauthenticated')
  })
})

test.each<[IdentityOptions]>([
  [{ mtls: false }],
  [{ audience: '' }],
  [{ audience: [] }],
  [{ audience: ['payments', ''] }],
  [{ audience: 'payments', accept: 'web' }],
  [{ audience: 'payments', accept: 'spiffe://other.example/*' }],
  // Each of these would accept the whole trust domain, and was meant to accept one workload.
  [{ audience: 'payments', accepts: idOf('web') } as IdentityOptions],
  [{ audience: 'payments', Accept: idOf('web') } as IdentityOptions],
  [{ audience: 'payments', accept: undefined } as unknown as IdentityOptions],
  [{ accept: undefined } as unknown as IdentityOptions],
  [{ audience: 'payments', revocations: 'require' } as IdentityOptions],
])('%j: refused before the first request', (options) => {
  expect(() => createApp(options)).toThrow(expect.objectContaining({ code: 'bad_options' }) as Error)
})
