/** purser.fetch: the requests that carry its token, and those that never do. */
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { type IncomingMessage, type ServerResponse, createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { PurserError, connect } from '@purser/sdk'
import { requireIdentity } from '@purser/sdk/express'
import express from 'express'
import { decodeJwt } from 'jose'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { createFetch } from '../../sdk/src/jwt/fetch.ts'
import { createIssuer, registerLab } from '../support/issuer.ts'
import { startPurser } from '../support/purser.ts'
import { failing } from './failing.ts'

type ReceivedRequest = { url: string; authorization: string | undefined; body: string }
type Handle = (request: ReceivedRequest, response: ServerResponse) => unknown

const ok: Handle = (_, response) => response.end('ok')
const invalid: Handle = (_, response) =>
  response.writeHead(401, { 'www-authenticate': 'Bearer realm="x", error="invalid_token"' }).end('no')

async function startService(handle: Handle = ok) {
  const requests: ReceivedRequest[] = []
  const state = { requests, handle, url: '' }
  const server = createServer((request: IncomingMessage, response) => {
    let body = ''
    request.on('data', (chunk: Buffer) => (body += chunk.toString()))
    request.on('end', () => {
      const object = { url: request.url ?? '', authorization: request.headers.authorization, body }
      requests.push(object)
      state.handle(object, response)
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    server.close()
    server.closeAllConnections()
  })
  state.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return state
}

/** The tokens in order are `first`, `second` and `third`. */
function createCaller(origins: readonly string[], more: { fetch?: typeof fetch } = {}) {
  const names = ['first', 'second', 'third', 'fourth']
  const state = { seconds: 0, audiences: [] as string[], renewed: 0, failure: undefined as PurserError | undefined }
  const call = createFetch(
    {
      async jwt(audience) {
        if (state.failure) throw state.failure
        state.audiences.push(audience)
        return names[state.renewed] ?? ''
      },
      async freshJwt() {
        if (state.failure) throw state.failure
        return names[++state.renewed] ?? ''
      },
      elapsed: () => state.seconds * 1000,
    },
    { audience: 'payments', origins, ...more },
  )
  return Object.assign(state, { fetch: call })
}

test('the request carries the token and everything else that it has', async () => {
  const service = await startService()
  const { fetch: call, audiences } = createCaller([service.url])
  const json = { method: 'POST', body: '{"a":1}', headers: { 'content-type': 'application/json' } }
  for (const input of [`${service.url}/x?y`, new URL(`${service.url}/x?y`)]) {
    expect(await (await call(input, json)).text()).toBe('ok')
  }
  await call(new Request(`${service.url}/x?y`, json))
  const expected = { url: '/x?y', authorization: 'Bearer first', body: '{"a":1}' }
  expect(service.requests).toEqual([expected, expected, expected])
  expect(audiences).toEqual(['payments', 'payments', 'payments'])
})

describe('another origin', () => {
  test.each([
    ['another port', 'http://127.0.0.1:9/'],
    ['another scheme', 'https://127.0.0.1/'],
    ['another host', 'https://api.test.evil.example/'],
    ['the host as a user name', 'https://api.test@evil.example/'],
    ['a path that looks like it', 'https://evil.example/https://api.test/'],
    ['a data: URL', 'data:text/plain,x'],
    ['a blob: URL, whose origin is the inner one', 'blob:https://api.test/5e0c'],
    ['no whole URL', '/path'],
    ['nothing', ''],
  ])('%s: no token is requested and nothing is sent', async (_, url) => {
    const requests: unknown[] = []
    const spy = (input: unknown): Promise<Response> => {
      requests.push(input)
      return Promise.resolve(new Response())
    }
    const caller = createCaller(['https://api.test', 'http://127.0.0.1:8'], { fetch: spy })
    expect((await failing(caller.fetch(url))).code).toBe('bad_options')
    expect([requests, caller.audiences]).toEqual([[], []])
  })

  test('an object with a changing text is refused', async () => {
    const texts = ['https://evil.example/', 'https://api.test/']
    const input = { toString: () => texts.pop() ?? '' } as unknown as string
    const caller = createCaller(['https://api.test'], { fetch: () => expect.fail('sent') })
    expect((await failing(caller.fetch(input))).code).toBe('bad_options')
  })

  test.each([[301], [302], [303], [307], [308]])('a redirect (%i) is not followed', async (status) => {
    const other = await startService()
    const service = await startService((_, response) => response.writeHead(status, { location: other.url }).end())
    const { fetch: call } = createCaller([service.url, other.url])
    for (const redirect of [undefined, 'follow'] as const) {
      const error = await failing(call(service.url, { ...(redirect && { redirect }) }))
      expect([error.code, error.message]).toEqual(['redirected', expect.stringContaining(String(status))])
    }
    expect(service.requests.length).toBe(2)
    expect(other.requests).toEqual([])
  })

  test('a redirect is left to a caller that asks for it or for an error', async () => {
    const other = await startService()
    const service = await startService((_, response) => response.writeHead(302, { location: other.url }).end())
    const { fetch: call } = createCaller([service.url])
    const answer = await call(service.url, { redirect: 'manual' })
    expect([answer.status, answer.headers.get('location')]).toEqual([302, other.url])
    await expect(call(service.url, { redirect: 'error' })).rejects.toThrow(TypeError)
    expect(other.requests).toEqual([])
  })
})

test.each<[string, (url: string) => Parameters<typeof fetch>]>([
  ['in init', (url) => [url, { headers: { authorization: 'Basic x' } }]],
  ['in init, as a list', (url) => [url, { headers: [['AUTHORIZATION', 'Bearer mine']] }]],
  ['in a Request', (url) => [new Request(url, { headers: { Authorization: 'Bearer mine' } })]],
])("a caller's own Authorization header, %s: refused", async (_, request) => {
  const service = await startService()
  const { fetch: call } = createCaller([service.url])
  expect((await failing(call(...request(service.url)))).code).toBe('bad_options')
  expect(service.requests).toEqual([])
})

test.each([
  ['none', undefined],
  ['an empty list', []],
  ['no list', 'https://api.test'],
  ['plain http', ['http://api.test']],
  ['plain http to a name', ['http://localhost:8080']],
  ['plain http to a name that looks like an address', ['http://127.0.0.1.evil.example']],
  ['a path', ['https://api.test/v1']],
  ['a user name', ['https://me@api.test']],
  ['a wildcard for a port', ['https://api.test:*']],
  ['no URL', ['api.test']],
  ['another scheme', ['ftp://api.test']],
  ['one wrong among good ones', ['https://api.test', '']],
])('origins: %s', (_, origins) => {
  const wrong = expect.objectContaining({ code: 'bad_options' }) as Error
  expect(() => createCaller(origins as string[])).toThrow(wrong)
})

test.each([[undefined], [''], [['payments']]])('the audience %j is refused', (audience) => {
  const parts = { jwt: async () => '', freshJwt: async () => '' }
  const options = { audience: audience as string, origins: ['https://api.test'] }
  expect(() => createFetch(parts, options)).toThrow(expect.objectContaining({ code: 'bad_options' }) as Error)
})

test('without a token nothing is sent', async () => {
  const service = await startService()
  const caller = createCaller([service.url])
  caller.failure = new PurserError('unreachable', 'away')
  expect((await failing(caller.fetch(service.url))).code).toBe('unreachable')
  expect(service.requests).toEqual([])
})

describe('a token that the service rejects as invalid', () => {
  const once401: Handle = (request, response) =>
    request.authorization === 'Bearer first' ? invalid(request, response) : ok(request, response)
  const bytes = new TextEncoder().encode('body')

  test.each<[string, RequestInit['body']]>([
    ['nothing', undefined],
    ['text', 'body'],
    ['bytes', bytes],
    ['a buffer', bytes.buffer],
    ['a Blob', new Blob(['body'])],
    ['a form', new URLSearchParams({ body: '' })],
  ])('is replaced, and %s sent again', async (_, body) => {
    const service = await startService(once401)
    const { fetch: call } = createCaller([service.url])
    const answer = await call(service.url, { ...(body !== undefined && { method: 'POST', body }) })
    expect(answer.status).toBe(200)
    expect(service.requests.map(({ authorization }) => authorization)).toEqual(['Bearer first', 'Bearer second'])
    expect(service.requests[1]?.body).toBe(service.requests[0]?.body)
  })

  test('with a one-shot body: the answer goes to the caller', async () => {
    const service = await startService(once401)
    const caller = createCaller([service.url])
    const body = Readable.toWeb(Readable.from(['body'])) as unknown as NonNullable<RequestInit['body']>
    const streamed = await caller.fetch(service.url, { method: 'POST', body, duplex: 'half' })
    expect([streamed.status, await streamed.text()]).toEqual([401, 'no'])
    expect((await caller.fetch(new Request(service.url, { method: 'POST', body: 'x' }))).status).toBe(401)
    expect(caller.renewed).toBe(0)
  })

  test('twice: the second answer goes to the caller', async () => {
    const service = await startService(invalid)
    const caller = createCaller([service.url])
    expect((await caller.fetch(service.url)).status).toBe(401)
    expect([service.requests.length, caller.renewed]).toEqual([2, 1])
  })

  test('repeatedly: one issuance in ten seconds', async () => {
    const service = await startService(invalid)
    const caller = createCaller([service.url])
    for (let n = 0; n < 5; n++) expect((await caller.fetch(service.url)).status).toBe(401)
    expect(caller.renewed).toBe(1)
    caller.seconds = 10
    await caller.fetch(service.url)
    expect(caller.renewed).toBe(2)
  })

  test('again, after the clock was set back by an hour: the ten seconds stay', async () => {
    vi.useFakeTimers({ toFake: ['Date', 'performance'] })
    onTestFinished(() => void vi.useRealTimers())
    const service = await startService(invalid)
    let renewed = 0
    const parts = { jwt: async () => 'first', freshJwt: async () => `another ${++renewed}`, now: Date.now }
    const call = createFetch(parts, { audience: 'payments', origins: [service.url] })
    await call(service.url)
    vi.setSystemTime(Date.now() - 3_600_000)
    vi.advanceTimersByTime(9_999)
    await call(service.url)
    expect(renewed).toBe(1)
    vi.advanceTimersByTime(1)
    await call(service.url)
    expect(renewed).toBe(2)
  })

  test('by many concurrent requests: one issuance for all', async () => {
    const service = await startService(once401)
    const caller = createCaller([service.url])
    const answers = await Promise.all(Array.from({ length: 5 }, () => caller.fetch(service.url)))
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200])
    expect(caller.renewed).toBe(1)
  })

  test('and cannot be replaced: the whole answer goes to the caller', async () => {
    const service = await startService()
    const caller = createCaller([service.url])
    service.handle = (request, response) => {
      caller.failure = new PurserError('unreachable', 'away')
      return invalid(request, response)
    }
    const answer = await caller.fetch(service.url)
    expect([answer.status, await answer.text()]).toEqual([401, 'no'])
  })

  test.each([
    ['no credentials', 401, 'Bearer realm="x"'],
    ['another scheme', 401, 'Basic realm="x"'],
    ['too little', 403, 'Bearer error="insufficient_scope"'],
    ['403 with the words of 401', 403, 'Bearer error="invalid_token"'],
  ])('is distinct from %s', async (_, status, challenge) => {
    const service = await startService((_, response) =>
      response.writeHead(status, { 'www-authenticate': challenge }).end(),
    )
    const caller = createCaller([service.url])
    expect((await caller.fetch(service.url)).status).toBe(status)
    expect([service.requests.length, caller.renewed]).toEqual([1, 0])
  })
})

test('one workload calls another: the token is revoked, replaced, and the call succeeds', async () => {
  const purser = await startPurser({ tls: true })
  const issuer = await createIssuer()
  await registerLab(purser, issuer)
  const options = {
    env: {},
    addr: purser.url,
    ca: { pem: readFileSync(join(purser.dataDir, 'ca.pem'), 'utf8') },
    logKey: purser.vkeys,
    proof: () => issuer.token(),
  }
  const [caller, callee] = [await connect(options), await connect(options)]
  onTestFinished(async () => {
    caller.close()
    callee.close()
    await purser.stop()
  })
  const app = express()
  app.use(requireIdentity(callee, { audience: 'payments', accept: 'spiffe://example.org/lab/*' }))
  app.get('/', (request, response) => void response.json(request.identity))
  const server = app.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    server.close()
    server.closeAllConnections()
  })
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`

  const call = caller.fetch({ audience: 'payments', origins: [url] })
  const jti = String(decodeJwt(await caller.jwt('payments')).jti)
  await purser.asAdmin('POST', '/api/v1/revocations', { jti })
  const answer = await call(url)
  expect(answer.status).toBe(200)
  const { spiffeId, by, claims } = (await answer.json()) as { spiffeId: string; by: string; claims: { jti: string } }
  expect([spiffeId, by]).toEqual(['spiffe://example.org/lab/web', 'jwt'])
  expect(claims.jti).not.toBe(jti)
  expect(decodeJwt(await caller.jwt('payments')).jti).toBe(claims.jti)
  expect((await fetch(url)).status).toBe(401)
  await failing(caller.fetch({ audience: 'bank', origins: [url] })(url))
})
