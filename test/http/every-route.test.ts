/**
 * Rules of HTTP for every route of the list: framing, headers, methods, the order of checks, and the members of each
 * answer.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loadOpenApi } from '../../src/http/openapi.ts'
import { type Route, methodsOf } from '../../src/http/route-kinds.ts'
import { entriesOf } from '../support/operator.ts'
import { type TestPurser, startPurser } from '../support/purser.ts'
import { type RawAnswer, ask, exchange, open } from '../support/raw-http.ts'
import { routes } from '../support/route-list.ts'

const { operations } = loadOpenApi()
let purser: TestPurser

beforeAll(async () => {
  const many = '1000000'
  purser = await startPurser({
    store: 'postgres',
    env: {
      PURSER_LIMIT_REFUSALS_PER_MINUTE: many,
      PURSER_LIMIT_ALL_REFUSALS_PER_MINUTE: many,
      PURSER_LIMIT_ADDRESS_PER_SECOND: many,
      PURSER_LIMIT_PUBLIC_PER_SECOND: many,
    },
  })
})
afterAll(() => purser.stop())

const pathOf = (path: string): string => path.replaceAll(/\{[^}]+\}/g, '1')
const nameOf = ({ method, path }: Pick<Route, 'method' | 'path'>): string => `${method} ${path}`
const namedRoutes = routes.map((route) => [nameOf(route), route] as const)
const lineOf = ({ method, path }: Pick<Route, 'method' | 'path'>): string => `${method} ${pathOf(path)} HTTP/1.1`
const bearer = (): string => `Authorization: Bearer ${purser.admin}`

/** The headers of every answer: a content type, a request id, and nothing for a browser to use. */
function isProblem(answer: RawAnswer | undefined, status: number, code: string): void {
  expect(answer).toMatchObject({ status, code })
  expect(answer?.headers.get('content-type')).toBe('application/problem+json')
  expect(answer?.headers.get('purser-request-id')).toBe(answer?.requestId)
  expect(answer?.requestId).toMatch(/^req_/)
  hasSafeHeaders(answer?.headers)
}

function hasSafeHeaders(headers: Pick<Headers, 'get'> | Map<string, string> | undefined): void {
  expect(headers?.get('x-content-type-options')).toBe('nosniff')
  expect(headers?.get('cross-origin-opener-policy')).toBe('same-origin')
  expect(headers?.get('cross-origin-resource-policy')).toMatch(/^(?:same|cross)-origin$/)
  expect(headers?.get('referrer-policy')).toBe('no-referrer')
}

async function isRecorded(answer: RawAnswer | undefined, reason: string): Promise<void> {
  expect(await entriesOf(purser, answer?.requestId)).toMatchObject([
    {
      action: 'request.refused',
      outcome: 'refused',
      reason,
      actor: { kind: 'anonymous' },
      source: { ip: '127.0.0.1' },
    },
  ])
}

describe('every route', () => {
  it.each(namedRoutes)('refuses a chunked body with extensions: %s', async (_, route) => {
    const head = `${lineOf(route)}\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n`
    const hidden = 'GET /api/v1/server HTTP/1.1\r\nHost: x\r\n\r\n'
    for (const chunks of ['0\r\n\r\n', '2;a=b\r\n{}\r\n0;c\r\n\r\n', 'zz\r\n{}\r\n0\r\n\r\n', '']) {
      const answers = await exchange(purser.url, `${head}\r\n${chunks}${hidden}`)
      expect(answers).toHaveLength(1)
      isProblem(answers[0], 411, 'length_required')
      expect(answers[0]?.headers.get('connection')).toBe('close')
    }
  })

  it.each(namedRoutes)('accepts 100 headers and refuses more: %s', async (_, route) => {
    // Host and Connection are among them.
    const headers = (count: number): string[] => Array.from({ length: count - 2 }, (_, n) => `x-${n}: ${n}`)
    expect((await ask(purser.url, lineOf(route), headers(100))).status).not.toBe(431)
    for (const count of [101, 2_001])
      isProblem(await ask(purser.url, lineOf(route), headers(count)), 431, 'headers_too_large')
  })

  it.each(namedRoutes)('validates the form of a request before its caller: %s', async (_, route) => {
    const operation = operations.find(({ method, path }) => method === route.method && path === route.path)
    const malformed: [string, boolean | undefined][] = [
      ['If-Match: x', operation?.takes.ifMatch],
      [`Idempotency-Key: ${'k'.repeat(1_000)}`, operation?.takes.idempotencyKey],
      [`Purser-Reason: ${'r'.repeat(5_000)}`, operation?.takes.reason],
    ]
    for (const [header] of malformed.filter(([, isAccepted]) => isAccepted)) {
      for (const credential of [[], [bearer()]]) {
        const answer = await ask(purser.url, lineOf(route), [header, ...credential])
        isProblem(answer, 400, 'invalid_request')
        expect(answer.text).toContain(`/header/${header.slice(0, header.indexOf(':'))}`)
      }
    }
  })

  it.each(namedRoutes)('lists its methods in Allow for another method: %s', async (_, route) => {
    const allowed = routes.filter(({ path }) => path === route.path).flatMap(methodsOf)
    for (const method of ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']) {
      if (allowed.includes(method)) continue
      for (const credential of [[], [bearer()]]) {
        const answer = await ask(purser.url, `${method} ${pathOf(route.path)} HTTP/1.1`, credential)
        expect(answer.status, method).toBe(405)
        expect(answer.headers.get('allow')?.split(', ').sort()).toEqual([...allowed].sort())
        if (method !== 'HEAD') isProblem(answer, 405, 'method_not_allowed')
      }
    }
  })

  it('sends anonymous callers the same headers, and HSTS only over TLS', async () => {
    const secure = await startPurser({ store: 'postgres', tls: true })
    try {
      for (const { method, path } of routes) {
        const plain = await ask(purser.url, lineOf({ method, path }))
        hasSafeHeaders(plain.headers)
        expect(plain.headers.has('strict-transport-security')).toBe(false)
        const { headers } = await secure.call(method, pathOf(path))
        hasSafeHeaders(headers)
        expect(headers.get('strict-transport-security'), path).toBe('max-age=31536000')
      }
    } finally {
      await secure.stop()
    }
  })
})

describe('a message that is not a request', () => {
  it.each([
    ['a method that HTTP does not have', 'GETX /healthz HTTP/1.1\r\nHost: x\r\n\r\n'],
    ['no Host', 'GET /healthz HTTP/1.1\r\n\r\n'],
    ['two lengths', 'POST /api/v1/bootstrap HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}'],
    ['TLS', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'],
  ])('gets a problem and is recorded: %s', async (_, bytes) => {
    const [answer, ...more] = await exchange(purser.url, Buffer.from(bytes, 'latin1'))
    isProblem(answer, 400, 'bad_http')
    await isRecorded(answer, 'bad_http')
    expect(more).toEqual([])
  })

  it('gets a problem and is recorded: larger headers than Node accepts', async () => {
    const [answer] = await exchange(
      purser.url,
      `GET /healthz HTTP/1.1\r\nHost: x\r\nX-A: ${'a'.repeat(70_000)}\r\n\r\n`,
    )
    isProblem(answer, 431, 'headers_too_large')
    await isRecorded(answer, 'headers_too_large')
  })

  it('is answered after the requests before it', async () => {
    const good = 'GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n'
    const answers = await exchange(purser.url, `${good}${good}nonsense\r\n\r\n`)
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 400])
    isProblem(answers[2], 400, 'bad_http')
  })

  it('counts against the limits of anonymous callers', async () => {
    const limited = await startPurser({
      store: 'postgres',
      env: { PURSER_LIMIT_PUBLIC_PER_SECOND: '1', PURSER_LIMIT_BURST_SECONDS: '1' },
    })
    try {
      const statuses = new Set<number | undefined>()
      for (let n = 0; n < 20; n++) statuses.add((await exchange(limited.url, 'GETX / HTTP/1.1\r\n\r\n'))[0]?.status)
      expect(statuses).toEqual(new Set([400, 429]))
    } finally {
      await limited.stop()
    }
  })
})

describe('a request that stops', () => {
  it('inside its body is refused once, when the client closes the connection', async () => {
    const { socket, text, closed } = await open(purser.url)
    socket.end(
      `POST /api/v1/bootstrap HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{`,
    )
    await closed
    expect(text().match(/HTTP\/1\.1 /g) ?? []).toHaveLength(1)
    expect(text()).toMatch(/^HTTP\/1\.1 400 .*application\/problem\+json/is)
  })
})
