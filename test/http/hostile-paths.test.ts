/** Hostile paths, methods and messages: one spelling of a path reaches its route (docs/architecture.md, Input). */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { entriesOf } from '../support/operator.ts'
import { type TestPurser, startPurser } from '../support/purser.ts'
import { ask, exchange } from '../support/raw-http.ts'

let purser: TestPurser

beforeAll(async () => {
  purser = await startPurser({ store: 'postgres', env: { PURSER_LIMIT_REFUSALS_PER_MINUTE: '1000' } })
})
afterAll(() => purser.stop())

const bearer = (): string => `Authorization: Bearer ${purser.admin}`

describe('a path with a second spelling', () => {
  it.each([
    ['dot segments', '/api/v1/../v1/server'],
    ['a dot segment at the end', '/api/v1/workloads/..'],
    ['escaped dots', '/api/v1/%2e%2e/v1/server'],
    ['half escaped dots', '/api/v1/.%2e/v1/server'],
    ['a single dot', '/api/v1/./server'],
    ['an escaped letter', '/api/v1/%73erver'],
    ['an escaped slash', '/api/v1%2fserver'],
    ['a doubly escaped slash', '/api/v1%252fserver'],
    ['an invalid escape', '/api/v1/%zz'],
    ['a double slash', '/api//v1/server'],
    ['a double slash in front', '//api/v1/server'],
    ['a slash at the end', '/api/v1/server/'],
    ['a path parameter', '/api/v1/server;x=1'],
    ['an escaped NUL', '/api/v1/server%00'],
    ['a backslash', '/api/v1\\server'],
    ['a fragment', '/api/v1/server#x'],
    ['the absolute form', 'http://purser.test/api/v1/server'],
    ['the absolute form of another host', 'http://evil.example/api/v1/workloads'],
  ])('is bad_path: %s', async (_, path) => {
    for (const headers of [[], [bearer()]]) {
      const answer = await ask(purser.url, `GET ${path} HTTP/1.1`, headers)
      expect(answer).toMatchObject({ status: 400, code: 'bad_path' })
      expect(await entriesOf(purser, answer.requestId)).toMatchObject([
        { action: 'request.refused', outcome: 'refused', reason: 'bad_path', actor: { kind: 'anonymous' } },
      ])
    }
  })

  it.each(['/API/v1/server', '/api/v1/SERVER', '/api/V1/server', '/Healthz', '/api/v1/workloads.css', '/api/v1', '/x'])(
    'is 404: %s',
    async (path) => {
      const answer = await ask(purser.url, `GET ${path} HTTP/1.1`, [bearer()])
      expect(answer).toMatchObject({ status: 404, code: 'not_found' })
    },
  )

  it.each([
    '/api/v1/workloads?x=/api/v1/server',
    '/api/v1/workloads?/healthz',
    '/api/v1/workloads/healthz',
    '/api/v1/workloads/keys',
    '/api/v1/workloads/a.css',
    '/metrics?x=/healthz',
  ])('with an addition needs the same credential: %s', async (path) => {
    const answer = await ask(purser.url, `GET ${path} HTTP/1.1`)
    expect([400, 401]).toContain(answer.status)
    expect(['invalid_request', 'unauthenticated']).toContain(answer.code)
  })

  it('with an unknown suffix after a colon is refused, not passed to another route', async () => {
    for (const path of [
      '/api/v1/workloads/web:bogus',
      '/api/v1/workloads/:disable',
      '/api/v1/workloads/web:disable:x',
    ]) {
      const answer = await ask(purser.url, `GET ${path} HTTP/1.1`, [bearer()])
      expect(answer.status, path).toBeGreaterThanOrEqual(400)
      expect(['bad_path', 'invalid_request', 'method_not_allowed']).toContain(answer.code)
    }
  })

  it('is not read from a header', async () => {
    const answer = await ask(purser.url, 'GET /api/v1/server HTTP/1.1', [
      'X-Original-URL: /api/v1/workloads',
      'X-Rewrite-URL: /api/v1/workloads',
      'X-HTTP-Method-Override: DELETE',
      'X-Forwarded-Prefix: /api/v1/workloads',
      'Forwarded: host=evil.example',
    ])
    expect(answer.status).toBe(200)
    expect(JSON.parse(answer.text)).toMatchObject({ trustDomain: 'example.org' })
  })
})

describe('a method', () => {
  it.each(['OPTIONS', 'TRACE', 'PROPFIND', 'PATCH', 'SEARCH'])(
    'without a route is refused with 405: %s',
    async (method) => {
      const answer = await ask(purser.url, `${method} /api/v1/workloads HTTP/1.1`, [bearer()])
      expect(answer).toMatchObject({ status: 405, code: 'method_not_allowed' })
      expect(answer.headers.get('allow')).toBe('GET, POST')
      expect(answer.text).not.toContain(purser.admin)
    },
  )

  it.each(['get', 'Get', 'GETX', 'G E T'])('that HTTP does not define closes the connection: %s', async (method) => {
    const [answer, ...more] = await exchange(purser.url, `${method} /healthz HTTP/1.1\r\nHost: x\r\n\r\n`)
    expect(answer?.status).toBe(400)
    expect(more).toEqual([])
  })

  it('of CONNECT or an upgrade opens no tunnel', async () => {
    expect(await exchange(purser.url, 'CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\n\r\n')).toEqual(
      [],
    )
    const answer = await ask(purser.url, 'GET /api/v1/server HTTP/1.1', [
      'Connection: close, upgrade',
      'Upgrade: websocket',
    ])
    expect(answer.status).toBe(200)
  })
})

describe('another origin', () => {
  it.each(['https://evil.example', 'null', 'https://purser.example.org'])('gets no CORS access: %s', async (origin) => {
    const read = await ask(purser.url, 'GET /api/v1/workloads HTTP/1.1', [bearer(), `Origin: ${origin}`])
    expect(read.status).toBe(200)
    const preflight = await ask(purser.url, 'OPTIONS /api/v1/workloads HTTP/1.1', [
      `Origin: ${origin}`,
      'Access-Control-Request-Method: POST',
      'Access-Control-Request-Headers: authorization',
    ])
    expect(preflight.status).toBe(405)
    for (const { headers } of [read, preflight]) {
      expect([...headers.keys()].filter((name) => name.startsWith('access-control'))).toEqual([])
    }
  })

  it('may read public data without credentials', async () => {
    const answer = await ask(purser.url, 'GET /keys HTTP/1.1', ['Origin: https://evil.example'])
    expect(answer.headers.get('access-control-allow-origin')).toBe('*')
    expect(answer.headers.has('access-control-allow-credentials')).toBe(false)
  })
})

describe('a message with two readings', () => {
  const post = (headers: string[], body: string): string =>
    ['POST /api/v1/credentials HTTP/1.1', 'Host: x', 'Content-Type: application/json', ...headers, '', body].join(
      '\r\n',
    )
  const second = 'GET /api/v1/server HTTP/1.1\r\nHost: x\r\n\r\n'

  it.each([
    ['length and chunks', post(['Content-Length: 4', 'Transfer-Encoding: chunked'], `0\r\n\r\n${second}`)],
    ['chunks and length', post(['Transfer-Encoding: chunked', 'Content-Length: 4'], `0\r\n\r\n${second}`)],
    ['two lengths', post(['Content-Length: 2', 'Content-Length: 40'], `{}${second}`)],
    ['a list of lengths', post(['Content-Length: 2, 2'], `{}${second}`)],
    ['a signed length', post(['Content-Length: +2'], `{}${second}`)],
    ['a length with a space before its colon', post(['Content-Length : 2'], `{}${second}`)],
    ['chunked twice', post(['Transfer-Encoding: chunked', 'Transfer-Encoding: identity'], `0\r\n\r\n${second}`)],
    ['a folded header', post(['Content-Length: 2', 'X-A: 1', ' folded'], `{}${second}`)],
    ['a NUL in a header', post(['X-A: a\0b', 'Content-Length: 2'], `{}${second}`)],
    ['a byte above ASCII in the path', 'GET /api/v1/s\u00e9rver HTTP/1.1\r\nHost: x\r\n\r\n'],
    ['a NUL in the path', 'GET /api/v1/server\0 HTTP/1.1\r\nHost: x\r\n\r\n'],
    ['a header line that ends early', post(['X-A: a\nContent-Length: 2'], `{}${second}`)],
  ])('is refused, and the bytes after it are not read: %s', async (_, bytes) => {
    const answers = await exchange(purser.url, bytes)
    expect(answers.map((answer) => answer.status)).toEqual([400])
  })

  it.each([
    ['another coding', post(['Transfer-Encoding: xchunked'], `0\r\n\r\n${second}`)],
    ['an invalid chunk size', post(['Transfer-Encoding: chunked'], `0x2\r\n{}\r\n0\r\n\r\n${second}`)],
  ])('without a length is refused, and the bytes after it are not read: %s', async (_, bytes) => {
    const answers = await exchange(purser.url, bytes)
    expect(answers.map(({ status }) => status)).toEqual([411])
  })

  it('leaves no body that is read as the next request', async () => {
    const hidden = 'GET /api/v1/workloads HTTP/1.1\r\nHost: x\r\n\r\n'
    const first = `GET /api/v1/server HTTP/1.1\r\nHost: x\r\nContent-Length: ${hidden.length}\r\n\r\n${hidden}`
    const last = 'GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'
    const answers = await exchange(purser.url, first + last)
    expect(answers.map((answer) => answer.status)).toEqual([200, 200])
    expect(answers[1]?.text).not.toContain('trustDomain')
  })

  it('has a limit for the size of its headers', async () => {
    const [answer] = await exchange(
      purser.url,
      `GET /healthz HTTP/1.1\r\nHost: x\r\nX-A: ${'a'.repeat(70_000)}\r\n\r\n`,
    )
    expect(answer?.status).toBe(431)
  })
})

describe('the caller in the log', () => {
  it('is the address of the socket, whatever the headers', async () => {
    const answer = await ask(purser.url, 'GET /api/v1/workloads HTTP/1.1', [
      'X-Forwarded-For: 203.0.113.9',
      'X-Real-IP: 203.0.113.9',
      'Forwarded: for=203.0.113.9',
      'Purser-Request-Id: req_chosen',
      `User-Agent: ${'u'.repeat(5_000)}`,
    ])
    expect(answer.requestId).toMatch(/^req_[0-9a-z]{16,}$/i)
    const [entry] = await entriesOf(purser, answer.requestId)
    expect(entry).toMatchObject({ reason: 'unauthenticated', source: { ip: '127.0.0.1' } })
    expect(Buffer.byteLength(entry?.source?.userAgent ?? '')).toBeLessThan(300)
  })
})
