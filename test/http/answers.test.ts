/** What every reply contains, and what no reply discloses. */
import { type AddressInfo, type Server } from 'node:net'
import { IncomingMessage, createServer } from 'node:http'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { createApp } from '../../src/start/app.ts'
import { type RefusalCode, refusals, refuse, shown } from '../../src/errors.ts'
import { loadOpenApi } from '../../src/http/openapi.ts'
import { json } from '../../src/http/request.ts'
import type { EndpointParts } from '../../src/http/route.ts'
import { type Read, read } from '../../src/http/route-kinds.ts'
import { createLogger } from '../../src/telemetry/log.ts'
import { createMetrics } from '../../src/telemetry/metrics.ts'
import { readLog } from '../support/operator.ts'
import { type TestPurser, startPurser } from '../support/purser.ts'
import { type RawAnswer, ask } from '../support/raw-http.ts'

/** A canary that must stay inside, and texts that would disclose internals. */
const inside = /canary|select |insert |at .*\.ts:|node_modules|node:|knex|pg_|postgres|express|\/src\//i

function isBare({ status, headers, text }: RawAnswer, code: string): void {
  const problem: Record<string, unknown> = JSON.parse(text)
  expect(Object.keys(problem).toSorted((a, b) => (a < b ? -1 : 1))).toEqual([
    'code',
    'requestId',
    'status',
    'title',
    'type',
  ])
  expect([problem.code, problem.status, problem.type]).toEqual([code, status, `urn:purser:problem:${code}`])
  expect(headers.get('purser-request-id')).toBe(problem.requestId)
  expect(text).not.toMatch(inside)
}

function hasHeaders({ headers }: RawAnswer): void {
  expect(headers.get('cache-control')).toBe('no-store')
  expect(headers.get('x-content-type-options')).toBe('nosniff')
  expect(headers.get('cross-origin-opener-policy')).toBe('same-origin')
  expect(headers.get('content-security-policy')).toBe("default-src 'none'; frame-ancestors 'none'")
  for (const name of ['x-powered-by', 'server', 'etag', 'set-cookie', 'via'])
    expect(headers.has(name), name).toBe(false)
}

describe('an answer', () => {
  let purser: TestPurser
  beforeAll(async () => {
    purser = await startPurser({ store: 'postgres', env: { PURSER_LIMIT_REFUSALS_PER_MINUTE: '100000' } })
  })
  afterAll(() => purser.stop())

  const asAdmin = (line: string): Promise<RawAnswer> =>
    ask(purser.url, `${line} HTTP/1.1`, [`Authorization: Bearer ${purser.admin}`])

  it.each([
    ['GET /nowhere', 404, 'not_found'],
    ['GET /api//v1', 400, 'bad_path'],
    ['PUT /healthz', 405, 'method_not_allowed'],
    ['GET /api/v1/workloads', 401, 'unauthenticated'],
    ['GET /metrics', 401, 'unauthenticated'],
    ['DELETE /api/v1/credentials/self', 401, 'unauthenticated'],
  ])('to a refused request is a bare problem: %s', async (line, status, code) => {
    const answer = await ask(purser.url, `${line} HTTP/1.1`)
    expect(answer.status).toBe(status)
    expect(answer.headers.get('content-type')).toBe('application/problem+json')
    isBare(answer, code)
    hasHeaders(answer)
  })

  it('to a granted request has the same headers', async () => {
    hasHeaders(await asAdmin('GET /api/v1/workloads'))
    hasHeaders(await asAdmin('GET /metrics'))
    expect((await ask(purser.url, 'GET /keys HTTP/1.1')).headers.get('cache-control')).toMatch(/^public, max-age=/)
  })

  it('to a fault of the server is a request id, and the server log has neither the statement nor its values', async () => {
    await purser.knex.raw('alter table bootstrap_token rename to canary')
    onTestFinished(() => purser.knex.raw('alter table canary rename to bootstrap_token'))
    const token = `purser_boot_${'A'.repeat(43)}`
    const answer = await ask(purser.url, 'POST /api/v1/bootstrap HTTP/1.1', [`Authorization: Bearer ${token}`])
    expect(answer.status).toBe(500)
    isBare(answer, 'internal')
    const failed = (await readLog(purser)).filter((entry) => entry.requestId === answer.requestId)
    expect(failed).toMatchObject([{ action: 'bootstrap.exchange', outcome: 'failed', actor: { kind: 'anonymous' } }])
    const logLines = purser.logs.filter((line) => line.includes(String(answer.requestId)))
    expect(logLines.some((line) => line.includes('request.failed'))).toBe(true)
    expect(logLines.join('')).not.toMatch(/canary|select |bootstrap_token/)
  })

  it('does not change the number of metric series, whatever the request', async () => {
    const series = async (): Promise<string[]> =>
      (await asAdmin('GET /metrics')).text
        .split('\n')
        .filter((line) => line.startsWith('purser_'))
        .map((line) => line.replace(/ \S+$/, ''))
    const before = await series()
    expect(before.length).toBeGreaterThan(100)
    for (let n = 0; n < 40; n++) {
      await ask(purser.url, `GET /x/${n} HTTP/1.1`)
      await ask(purser.url, `GET /api/v1/workloads/w${n} HTTP/1.1`)
      await ask(purser.url, `REPORT /api/v1/workloads/w${n} HTTP/1.1`)
      await purser.call('POST', '/api/v1/credentials', { attestor: `a${n}`, proof: { kind: 'jwt', token: `${n}.b.c` } })
    }
    expect(await series()).toEqual(before)
  })
})

describe('an endpoint with a fault', () => {
  const openapi = loadOpenApi()
  const lines: string[] = []
  const metrics = createMetrics({ routes: [], codes: [], attestorKinds: [], credentials: [] })
  const parts = {
    limits: { take: () => ({ ok: true }), noteRefusal: () => 'record' },
    log: createLogger({ level: 'info', stream: { write: (line) => lines.push(line) } }),
    metrics,
    now: () => new Date(),
    randomBytes: (size: number) => Buffer.alloc(size, 7),
    addressOf: (_: object) => '127.0.0.1',
    snapshots: { current: () => ({}) },
    recorder: { note: () => Promise.reject(new Error('canary of the recorder')) },
    approvalActions: [],
  }

  async function answerOf(handler: Read, more: Partial<typeof parts> = {}): Promise<RawAnswer> {
    const routes = [read('GET', '/api/v1/server', 'none', 'public', 'none', handler)]
    const app = createApp(routes, openapi, { ...parts, ...more } as unknown as EndpointParts)
    const server: Server = createServer(app)
    onTestFinished(() => void server.close())
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return ask(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, 'GET /api/v1/server HTTP/1.1')
  }

  it('shows only a request id, whatever was thrown', async () => {
    for (const thrown of [new Error('canary'), 'canary', undefined, { status: 418, expose: true, message: 'canary' }]) {
      const answer = await answerOf(() => Promise.reject(thrown))
      expect(answer.status).toBe(500)
      isBare(answer, 'internal')
    }
    expect(lines.length).toBeGreaterThan(0)
    expect(lines.join('')).not.toContain('canary')
  })

  it('shows only a request id if recording the failure also fails', async () => {
    const broken = {
      ...metrics,
      request: () => {
        throw new Error('canary')
      },
    }
    const answer = await answerOf(() => Promise.reject(new Error('canary')), {
      metrics: broken,
      limits: {
        ...parts.limits,
        take: () => {
          throw new Error('canary')
        },
      },
    })
    expect(answer.status).toBe(500)
    isBare(answer, 'internal')
  })

  it('sends no refusal that cannot be recorded', async () => {
    const answer = await answerOf(() => Promise.reject(refuse('conflict', { detail: 'canary' })))
    expect(answer.status).toBe(503)
    isBare(answer, 'log_unavailable')
    expect(answer.headers.get('retry-after')).toBe('2')
  })

  it.each(['plain', 'é', 'ÿ€', '日本', '🚢 and more', '\ud800', ''])('sends %j unchanged in UTF-8', async (text) => {
    const answer = await answerOf(async () => json({ text }))
    // `ask` decodes each byte as one character.
    const bytes = Buffer.from(answer.text, 'latin1')
    expect(answer.headers.get('content-length')).toBe(String(bytes.length))
    expect(bytes.toString('utf8')).toBe(JSON.stringify({ text }))
  })

  it('receives messages with Node’s own prototypes, since those of Express make every access slow', async () => {
    const prototypes: unknown[] = []
    const addressOf = (message: object): string => {
      prototypes.push(Object.getPrototypeOf(message))
      return '127.0.0.1'
    }
    const answer = await answerOf(async () => json({}), { addressOf })
    expect(answer.status).toBe(200)
    expect(prototypes).toEqual([IncomingMessage.prototype])
    expect(prototypes[0]).toBe(IncomingMessage.prototype)
  })

  it('answers normally without a fault', async () => {
    expect(await answerOf(async () => json({ fine: true }))).toMatchObject({ status: 200, text: '{"fine":true}' })
  })
})

describe('what a failed attestation shows', () => {
  const codes = Object.keys(refusals) as RefusalCode[]
  const hidden = codes.filter((code) => shown(code).code !== code)

  it('is one answer for every reason', () => {
    expect(hidden.length).toBeGreaterThan(20)
    expect(new Set(hidden.map((code) => JSON.stringify(shown(code))))).toEqual(
      new Set([JSON.stringify(shown('attestation_failed'))]),
    )
  })

  it('does not depend on the name of the reason', () => {
    expect(codes.filter((code) => code.startsWith('proof_') && !hidden.includes(code))).toEqual([])
  })
})
