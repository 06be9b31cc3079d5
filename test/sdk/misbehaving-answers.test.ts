/**
 * A verified server that answers incorrectly: the error names the fault, nothing is accepted, no connection stays
 * open.
 */
import type { ServerResponse } from 'node:http'
import { type ConnectOptions, type PurserError, connect } from '@purser/sdk'
import { describe, expect, test } from 'vitest'
import { failing } from './failing.ts'
import { type Fake, type Misbehaviour, proofFor, rootPem, secretMark, startFake } from './fake-purser.ts'

const optionsFor = (fake: Fake, more: ConnectOptions = {}): ConnectOptions => ({
  addr: fake.url,
  ca: { pem: rootPem },
  allowPlainLoopback: true,
  proof: proofFor(),
  env: {},
  onWarning: () => undefined,
  ...more,
})

/** Connects to a fake and returns the error once no connection is left. */
async function failingAt(wrong: Misbehaviour, more: ConnectOptions = {}): Promise<PurserError> {
  const fake = await startFake(wrong)
  const error = await failing(connect(optionsFor(fake, more)))
  await fake.drained()
  expect(error.message).not.toContain(secretMark)
  expect(error.message).not.toContain(proofFor())
  return error
}

const on =
  (path: string, act: (response: ServerResponse) => void): NonNullable<Misbehaviour['handle']> =>
  ({ url }, response) => {
    if (url !== path) return false
    act(response)
    return true
  }

describe.each(['/api/v1/server', '/api/v1/credentials'])('at %s', (path) => {
  test('a redirect is not followed', async () => {
    const elsewhere = await startFake()
    const handle = on(path, (response) => void response.writeHead(307, { location: `${elsewhere.url}${path}` }).end())
    const error = await failingAt({ handle })
    expect(error.code).toBe('redirected')
    expect(elsewhere.state.connections).toBe(0)
  })

  test('silence ends at the deadline', async () => {
    expect((await failingAt({ handle: on(path, () => undefined) }, { timeoutMs: 200 })).code).toBe('timeout')
  })

  test('silence ends when the caller aborts', async () => {
    const controller = new AbortController()
    const handle = on(path, () => controller.abort())
    expect((await failingAt({ handle }, { signal: controller.signal })).code).toBe('aborted')
  })

  test('a slow body ends at the deadline too', async () => {
    const handle = on(
      path,
      (response) => void response.writeHead(200, { 'content-type': 'application/json' }).write('{'),
    )
    expect((await failingAt({ handle }, { timeoutMs: 200 })).code).toBe('timeout')
  })

  test('half a body', async () => {
    const handle = on(path, (response) => {
      response.writeHead(200, { 'content-length': 1000 })
      response.write('{"spiffeId":', () => response.destroy())
    })
    expect((await failingAt({ handle })).code).toBe('incomplete')
  })

  test('half a chunked body', async () => {
    const handle = on(path, (response) => void response.writeHead(200).write('{"a":', () => response.destroy()))
    expect((await failingAt({ handle })).code).toBe('incomplete')
  })

  test('a huge body with its Content-Length', async () => {
    const handle = on(path, (response) => void response.writeHead(200, { 'content-length': 1e9 }).write('{'))
    expect((await failingAt({ handle })).code).toBe('too_large')
  })

  test('an endless body', async () => {
    let sentBytes = 0
    const handle = on(path, (response) => {
      const more = (): void => {
        if (response.destroyed) return
        sentBytes += 65_536
        // In separate turns: a write that completes at once calls back before the close event of the other side.
        response.write('x'.repeat(65_536), () => setImmediate(more))
      }
      response.writeHead(200)
      more()
    })
    expect((await failingAt({ handle })).code).toBe('too_large')
    // The contents of both sides' buffers beyond what was read, and no more.
    expect(sentBytes).toBeLessThan(32 * 1024 * 1024)
  })

  test('a huge header', async () => {
    const handle = on(path, (response) => void response.writeHead(200, { 'x-filler': 'x'.repeat(20_000) }).end('{}'))
    expect((await failingAt({ handle })).code).toBe('too_large')
  })

  test('a compressed body without Accept-Encoding', async () => {
    const handle = on(path, (response) => void response.writeHead(200, { 'content-encoding': 'gzip' }).end('x'))
    expect((await failingAt({ handle })).code).toBe('bad_reply')
  })

  test('another protocol', async () => {
    const handle = on(
      path,
      ({ socket }) =>
        void socket?.write('HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n'),
    )
    expect((await failingAt({ handle })).code).toBe('bad_reply')
  })

  test.each([
    ['no JSON', '<html>'],
    ['a list', '[]'],
    ['null', 'null'],
    ['an empty object', '{}'],
    ['nothing', ''],
  ])('%s', async (_, body) => {
    expect((await failingAt({ handle: on(path, (response) => void response.writeHead(200).end(body)) })).code).toBe(
      'bad_reply',
    )
  })

  test('a refusal with a malformed problem document', async () => {
    const body = JSON.stringify({ code: 7, title: '\u001b[31mred', requestId: ['x'], errors: [null, { pointer: 1 }] })
    const error = await failingAt({ handle: on(path, (response) => void response.writeHead(500).end(body)) })
    expect(error).toMatchObject({ code: 'refused', status: 500, requestId: undefined })
    expect(error.message).not.toContain('\u001b')
  })
})

describe('a busy server', () => {
  const busy = (times: number, status: number, wait: string): Misbehaviour => {
    let remaining = times
    return {
      handle: (request, response) => {
        if (request.method !== 'POST' || remaining-- <= 0) return false
        response.writeHead(status, { 'retry-after': wait, 'content-type': 'application/problem+json' })
        response.end(JSON.stringify({ code: 'log_unavailable', title: 'not now', status, requestId: 'req_busy' }))
        return true
      },
    }
  }

  test.each([429, 503])('%d with a short Retry-After is retried once', async (status) => {
    const fake = await startFake(busy(1, status, '0'))
    const purser = await connect(optionsFor(fake))
    expect(fake.posts()).toHaveLength(2)
    purser.close()
    await fake.drained()
  })

  test.each([
    ['twice busy', busy(9, 503, '0'), 2],
    ['a long wait', busy(9, 503, '60'), 1],
    ['a date', busy(9, 503, 'Wed, 21 Oct 2026 07:28:00 GMT'), 1],
    ['a negative wait', busy(9, 503, '-1'), 1],
  ])('%s is reported', async (_, wrong, posts) => {
    const fake = await startFake(wrong)
    await expect(connect(optionsFor(fake))).rejects.toMatchObject({
      code: 'log_unavailable',
      status: 503,
      requestId: 'req_busy',
    })
    expect(fake.posts()).toHaveLength(posts)
    await fake.drained()
  })

  test('an abort ends the wait', async () => {
    const controller = new AbortController()
    const wrong = busy(9, 503, '5')
    const error = await failingAt(
      {
        handle: (request, response) => {
          const isHandled = wrong.handle?.(request, response) === true
          if (isHandled) response.once('finish', () => setTimeout(() => controller.abort(), 20))
          return isHandled
        },
      },
      { signal: controller.signal },
    )
    expect(error.code).toBe('aborted')
  })
})
