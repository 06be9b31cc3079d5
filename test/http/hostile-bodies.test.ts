/** Hostile bodies: each is refused with a stable code and an entry, and none is echoed. */
import * as fc from 'fast-check'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { entriesOf, readLog } from '../support/operator.ts'
import { type TestPurser, startPurser } from '../support/purser.ts'
import { type RawAnswer, ask, exchange, open } from '../support/raw-http.ts'

const kib = 1024
const limit = 64 * kib
const canary = 'canary-1f0c'

let purser: TestPurser

beforeAll(async () => {
  const many = '100000'
  purser = await startPurser({
    store: 'postgres',
    env: { PURSER_LIMIT_REFUSALS_PER_MINUTE: many, PURSER_LIMIT_ADDRESS_PER_SECOND: many },
  })
})
afterAll(() => purser.stop())

const line = 'POST /api/v1/credentials HTTP/1.1'
const jsonType = 'Content-Type: application/json'

const post = (body: string | Buffer, headers: string[] = [jsonType]): Promise<RawAnswer> =>
  ask(purser.url, line, [...headers, `Content-Length: ${Buffer.byteLength(body)}`], body)

const recorded = async ({ requestId }: RawAnswer): Promise<unknown> => {
  const [entry, ...more] = await entriesOf(purser, requestId)
  expect(more).toEqual([])
  return entry && { action: entry.action, outcome: entry.outcome, reason: entry.reason, actor: entry.actor }
}

const refusedBy = (reason: string, action = 'credentials.issue'): unknown => ({
  action,
  outcome: 'refused',
  reason,
  actor: { kind: 'anonymous' },
})

const validBody = JSON.stringify({ proof: { kind: 'jwt', token: 'a.b.c' } })

describe('the content type of a body', () => {
  it.each([
    ['no type', []],
    ['text', ['Content-Type: text/plain']],
    ['a form', ['Content-Type: application/x-www-form-urlencoded']],
    ['a form of parts', ['Content-Type: multipart/form-data; boundary=x']],
    ['a kin of JSON', ['Content-Type: application/problem+json']],
    ['JSON in UTF-7', ['Content-Type: application/json; charset=utf-7']],
    ['JSON in UTF-16', ['Content-Type: application/json; charset=utf-16']],
    ['JSON in Latin-1', ['Content-Type: application/json; charset=iso-8859-1']],
    ['JSON in two charsets', ['Content-Type: application/json; charset=utf-8; charset=utf-7']],
    ['two types', ['Content-Type: application/json, text/plain']],
    ['gzip', [jsonType, 'Content-Encoding: gzip']],
    ['br', [jsonType, 'Content-Encoding: br']],
    ['zstd', [jsonType, 'Content-Encoding: zstd']],
    ['deflate', [jsonType, 'Content-Encoding: deflate']],
    ['two encodings', [jsonType, 'Content-Encoding: identity, gzip']],
    ['an encoding in two headers', [jsonType, 'Content-Encoding: identity', 'Content-Encoding: gzip']],
  ])('is refused with 415 unless it is plain JSON: %s', async (_, headers) => {
    const body = headers.some((header) => header.endsWith('gzip')) ? gzipSync(validBody) : validBody
    const answer = await post(body, headers)
    expect(answer).toMatchObject({ status: 415, code: 'unsupported_media_type' })
    expect(await recorded(answer)).toEqual(refusedBy('unsupported_media_type'))
  })

  it.each(['application/json', 'application/json; charset=utf-8', 'Application/JSON;charset="UTF-8"'])(
    'is accepted: %s',
    async (type) => {
      expect(await post(validBody, [`Content-Type: ${type}`])).toMatchObject({
        status: 401,
        code: 'attestation_failed',
      })
    },
  )
})

describe('a body beyond its limits', () => {
  const filled = (size: number): string => {
    const [head, tail] = ['{"proof":{"kind":"jwt","token":"', '"}}']
    return head + 'a'.repeat(size - head.length - tail.length) + tail
  }

  it('is accepted up to the limit of its route', async () => {
    expect(await post(filled(limit))).not.toMatchObject({ status: 413 })
  })

  it('is refused with 413 one byte beyond, before it is read', async () => {
    const { socket, text, closed } = await open(purser.url)
    socket.write(`${line}\r\nHost: x\r\n${jsonType}\r\nContent-Length: ${limit + 1}\r\n\r\n`)
    await closed
    expect(text()).toMatch(/^HTTP\/1\.1 413 .*connection: close/is)
    expect(text()).toContain('"too_large"')
  })

  it('is refused with 411 if chunked, and the following bytes are not read as a request', async () => {
    const chunk = `4000\r\n${'a'.repeat(0x4000)}\r\n`
    const second = 'GET /api/v1/server HTTP/1.1\r\nHost: x\r\n\r\n'
    const head = `${line}\r\nHost: x\r\n${jsonType}\r\nTransfer-Encoding: chunked\r\n\r\n`
    const answers = await exchange(purser.url, `${head}${chunk.repeat(5)}0\r\n\r\n${second}`)
    expect(answers.map((answer) => [answer.status, answer.code, answer.headers.get('connection')])).toEqual([
      [411, 'length_required', 'close'],
    ])
    expect(await recorded(answers[0] as RawAnswer)).toEqual(refusedBy('length_required', 'request.refused'))
  })

  it('without an end is not read', async () => {
    const { socket, text, closed } = await open(purser.url)
    socket.write(`${line}\r\nHost: x\r\n${jsonType}\r\nTransfer-Encoding: chunked\r\n\r\n`)
    const chunk = Buffer.from(`10000\r\n${'a'.repeat(0x10000)}\r\n`)
    let sentBytes = 0
    const more = (): void => {
      while (!socket.destroyed && sentBytes < 64 * 1024 * kib) {
        sentBytes += chunk.length
        if (!socket.write(chunk)) return void socket.once('drain', more)
      }
    }
    more()
    await closed
    expect(text()).toMatch(/^HTTP\/1\.1 411 /)
    // What the two kernels buffer, and no more.
    expect(sentBytes).toBeLessThan(32 * 1024 * kib)
  })

  it('that stops in the middle is refused and recorded when the client closes the connection', async () => {
    const before = (await readLog(purser)).length
    const { socket, closed } = await open(purser.url)
    socket.write(`${line}\r\nHost: x\r\n${jsonType}\r\nContent-Length: 100\r\n\r\n{"proof":`)
    socket.end()
    await closed
    await expect.poll(async () => (await readLog(purser)).length).toBe(before + 1)
    expect((await readLog(purser)).at(-1)).toMatchObject(refusedBy('invalid_request') as object)
  })
})

describe('JSON that is not strict', () => {
  const deep = (levels: number): string => '['.repeat(levels) + ']'.repeat(levels)
  const wrapped = (value: string): string => `{"proof":${value}}`

  it.each([
    ['nothing but space', ' '],
    ['a comma behind', `{"attestor":"${canary}",}`],
    ['a comma behind in a list', wrapped('[1,]')],
    ['a comment', wrapped('1/**/')],
    ['single quotes', `{'attestor':'${canary}'}`],
    ['a name without quotes', `{attestor:"${canary}"}`],
    ['NaN', wrapped('NaN')],
    ['Infinity', wrapped('-Infinity')],
    ['a leading zero', wrapped('01')],
    ['a plus', wrapped('+1')],
    ['hexadecimal', wrapped('0x1')],
    ['no fraction', wrapped('1.')],
    ['a number beyond doubles', wrapped('1e999')],
    ['a control character', wrapped('"a\u0001b"')],
    ['a line break in a string', wrapped('"a\nb"')],
    ['an invalid escape', wrapped(String.raw`"\x41"`)],
    ['a lone surrogate, escaped', wrapped(String.raw`"\ud800"`)],
    ['a lone surrogate, in bytes', Buffer.from(wrapped('"\0\0\0"').replace('\0\0\0', '\u00ed\u00a0\u0080'), 'latin1')],
    ['bytes that are no UTF-8', Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d])],
    ['an overlong NUL', Buffer.from([0x7b, 0x22, 0xc0, 0x80, 0x22, 0x3a, 0x31, 0x7d])],
    ['a byte order mark', Buffer.from(`\uFEFF${validBody}`)],
    ['UTF-16', Buffer.from(validBody, 'utf16le')],
    ['a name twice', `{"attestor":"a","attestor":"${canary}"}`],
    ['a name twice, once escaped', String.raw`{"attestor":"a","\u0061ttestor":"b"}`],
    ['a name twice, deep inside', '{"x509":{"csr":"a","csr":"b"}}'],
    ['two values', `${validBody}${validBody}`],
    ['something behind', `${validBody}x`],
    ['33 levels', deep(33)],
    ['10,000 levels', deep(10_000)],
    ['10,000 levels that never close', '['.repeat(10_000)],
    ['half a value', validBody.slice(0, -1)],
  ])('is refused with 400 and recorded: %s', async (_, body) => {
    const answer = await post(body)
    expect(answer).toMatchObject({ status: 400, code: 'invalid_json' })
    expect(answer.text).not.toContain(canary)
    expect(await recorded(answer)).toEqual(refusedBy('invalid_json'))
  })

  it('is refused with 400 for 5,000 members', async () => {
    const members = Array.from({ length: 5_000 }, (_, n) => `"${n}":1`).join(',')
    expect(await post(`{${members}}`)).toMatchObject({ status: 400 })
  })

  it('is never accepted and never a fault of the server, whatever the bytes', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(
          fc.uint8Array({ minLength: 1 }).map((bytes) => Buffer.from(bytes)),
          fc.json().map((text) => Buffer.from(text)),
        ),
        async (body) => {
          const answer = await post(body)
          expect([400, 401]).toContain(answer.status)
          expect(['invalid_json', 'invalid_request', 'attestation_failed']).toContain(answer.code)
        },
      ),
      { numRuns: 60 },
    )
  })
})

describe('unknown members', () => {
  const faults = async (path: string, body: unknown): Promise<{ status: number; pointers: string[]; text: string }> => {
    const { status, text, body: problem } = await purser.call('POST', path, body, { token: purser.admin })
    const errors = (problem.errors ?? []) as { pointer: string }[]
    return { status, text, pointers: errors.map((error) => error.pointer) }
  }

  it('are refused by their pointer, at every depth', async () => {
    const body = {
      proof: { kind: 'jwt', token: 'a.b.c', alg: canary },
      x509: { csr: 'x', spiffeId: canary },
      role: 'admin',
    }
    const { status, pointers, text } = await faults('/api/v1/credentials', body)
    expect(status).toBe(400)
    expect(pointers).toEqual(expect.arrayContaining(['/proof/alg', '/x509/spiffeId', '/role']))
    expect(text).not.toContain(canary)
  })

  it.each(['id', 'revision', 'disabled', 'attestorId', 'createdAt', 'tenantId', 'role', 'policies', 'constructor'])(
    'of a workload entry are refused: %s',
    async (name) => {
      const entry = { name: 'web', attestor: 'lab', match: { 'oidc:sub': 'a' }, spiffeId: 'spiffe://example.org/lab/a' }
      const { status, pointers } = await faults('/api/v1/workloads', { ...entry, [name]: 'x' })
      expect(status).toBe(400)
      expect(pointers).toContain(`/${name}`)
    },
  )

  it.each(['__proto__', 'constructor', 'toString', 'hasOwnProperty'])('reach no prototype: %s', async (name) => {
    const body = `{"proof":{"kind":"jwt","token":"a.b.c"},"${name}":{"admin":true}}`
    const answer = await post(body)
    expect(answer.status).toBe(400)
    expect(['invalid_json', 'invalid_request']).toContain(answer.code)
    expect(Object.hasOwn(Object.prototype, 'admin')).toBe(false)
  })
})
