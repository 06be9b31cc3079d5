/**
 * Revocation checks with Purser: their frequency, and the behaviour without an answer. The test controls clock and
 * server.
 */
import { PurserError } from '@purser/sdk'
import { createTestPurser } from '@purser/sdk/testing'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { createRevocation } from '../../sdk/src/jwt/revocation.ts'
import { failing } from './failing.ts'
import type { Request, Answer } from '../../sdk/src/connection/http.ts'

const answer = (body: unknown, status = 200): Answer => {
  const text = typeof body === 'string' ? body : JSON.stringify(body)
  return { status, headers: {}, bytes: Buffer.from(text), text }
}
const yes = answer({ active: true })
const no = answer({ active: false })
const unreachable = new PurserError('unreachable', 'no server')

function createServer() {
  const state = {
    seconds: 0,
    /** The seconds by which the machine's clock was set. */
    stepped: 0,
    asked: [] as Request[],
    warnings: [] as string[],
    rests: 0,
    answer: (): Answer | Promise<Answer> => yes,
    held: { bearer: 'purser_at_x' } as { bearer: string } | undefined,
    closing: new AbortController(),
  }
  const revocation = createRevocation({
    transport: {
      async exchange(request) {
        state.asked.push(request)
        return state.answer()
      },
      rest: () => void state.rests++,
    },
    authentication: () => state.held,
    closing: state.closing.signal,
    warn: (warning) => void state.warnings.push(warning),
    now: () => (state.seconds + state.stepped) * 1000,
    elapsed: () => state.seconds * 1000,
  })
  const judge = (name = 'one', options: Parameters<typeof revocation>[1] = {}): Promise<void> =>
    revocation({ token: `token ${name}`, signed: name, exp: 1_000_000 }, options)
  return Object.assign(state, { revocation, judge })
}

const throwing = (error: unknown) => (): never => {
  throw error
}

test('the token is checked with the credential that this client holds', async () => {
  const server = createServer()
  await server.judge()
  expect(server.asked).toEqual([
    {
      method: 'POST',
      path: '/api/v1/introspect',
      body: '{"token":"token one"}',
      maxBytes: 65_536,
      bearer: 'purser_at_x',
    },
  ])
})

describe('the answer', () => {
  test.each([[yes], [no]])('%j is used again for ten seconds, and no longer', async (word) => {
    const server = createServer()
    server.answer = () => word
    const verdict = (): Promise<string> =>
      server.judge().then(
        () => 'yes',
        (error: PurserError) => error.code,
      )
    const first = await verdict()
    expect(first).toBe(word === yes ? 'yes' : 'revoked')
    server.seconds = 9.9
    expect(await verdict()).toBe(first)
    expect(server.asked.length).toBe(1)
    server.seconds = 10
    expect(await verdict()).toBe(first)
    expect(server.asked.length).toBe(2)
  })

  test('is shared by concurrent callers, and applies to one token', async () => {
    const server = createServer()
    await Promise.all([server.judge('one'), server.judge('one'), server.judge('two')])
    expect(server.asked.map(({ body }) => body)).toEqual(['{"token":"token one"}', '{"token":"token two"}'])
  })

  test('is at most as old as the caller allows', async () => {
    const server = createServer()
    await server.judge()
    server.seconds = 60
    await server.judge('one', { revocationMaxAgeSeconds: 61 })
    expect(server.asked.length).toBe(1)
    await server.judge('one', { revocationMaxAgeSeconds: 60 })
    expect(server.asked.length).toBe(2)
  })

  test('is cached for a thousand tokens, and no more', async () => {
    const server = createServer()
    for (let n = 0; n <= 1_000; n++) await server.judge(`token ${n}`)
    await server.judge('token 1000')
    await server.judge('token 2')
    expect(server.asked.length).toBe(1_001)
    await server.judge('token 0')
    expect(server.asked.length).toBe(1_002)
  })

  test('is not requested with `off`', async () => {
    const server = createServer()
    server.answer = () => no
    await server.judge('one', { revocation: 'off' })
    expect(server.asked).toEqual([])
  })

  test('negative, about a token that ended meanwhile, is no revocation', async () => {
    const server = createServer()
    server.answer = () => no
    server.seconds = 100
    const revocation = server.revocation({ token: 'x', signed: 'x', exp: 95 }, {})
    expect(await failing(revocation)).toMatchObject({
      code: 'bad_token',
      message: expect.stringContaining('(exp)') as string,
    })
  })
})

test.each([
  [{ revocation: 'on' }],
  [{ revocation: false }],
  [{ revocation: null }],
  [{ revocationMaxAgeSeconds: -1 }],
  [{ revocationMaxAgeSeconds: 301 }],
  [{ revocationMaxAgeSeconds: NaN }],
  [{ revocationMaxAgeSeconds: 'x' }],
])('%j is not a valid option', async (options) => {
  expect((await failing(createServer().judge('one', options as object))).code).toBe('bad_options')
})

describe('without an answer', () => {
  const silences: [string, () => Answer][] = [
    ['unreachable', throwing(unreachable)],
    ['500', () => answer({ code: 'internal' }, 500)],
    ['429', () => answer({ code: 'rate_limited' }, 429)],
    ['401: this session is over', () => answer({ code: 'unauthenticated' }, 401)],
    ['no JSON', () => answer('<html>')],
    ['neither yes nor no', () => answer({ active: 'true' })],
    ['nothing', () => answer({})],
    ['a list', () => answer([])],
    ['a fault of this side', throwing(new TypeError('on purpose'))],
  ]

  test.each(silences)('%s: accepted with one warning, refused with `require`', async (_, answer) => {
    const server = createServer()
    server.answer = answer
    await server.judge('one')
    await server.judge('two')
    expect(server.warnings).toEqual([expect.stringContaining('without a revocation check')])
    expect(server.warnings[0]).not.toContain('token one')
    await failing(server.judge('one', { revocation: 'require' }))
    expect(server.warnings.length).toBe(1)
  })

  test.each(silences)('%s: the next request waits five seconds', async (_, answer) => {
    const server = createServer()
    server.answer = answer
    await server.judge('one')
    const { length } = server.asked
    server.seconds = 4.9
    await server.judge('two')
    await failing(server.judge('three', { revocation: 'require' }))
    expect(server.asked.length).toBe(length)
    server.seconds = 5
    server.answer = () => no
    expect((await failing(server.judge('two'))).code).toBe('revoked')
  })

  test('an answer within five minutes applies, a negative one for as long as the token', async () => {
    const server = createServer()
    await server.judge('good')
    server.answer = () => no
    await failing(server.judge('bad'))
    server.answer = throwing(unreachable)
    server.seconds = 299
    await server.judge('good')
    expect(server.warnings).toEqual([])
    server.seconds = 310
    await server.judge('good')
    expect(server.warnings.length).toBe(1)
    server.seconds = 100_000
    expect((await failing(server.judge('bad'))).code).toBe('revoked')
  })

  test('`require` accepts no answer older than allowed', async () => {
    const server = createServer()
    await server.judge()
    server.answer = throwing(unreachable)
    server.seconds = 9
    await server.judge('one', { revocation: 'require' })
    server.seconds = 10
    expect((await failing(server.judge('one', { revocation: 'require' }))).code).toBe('unreachable')
  })

  test('a connection that the server closed just then does not count as an outage', async () => {
    const server = createServer()
    let first = true
    server.answer = () => {
      if (!first) return no
      first = false
      throw new PurserError('incomplete', 'broken off')
    }
    expect((await failing(server.judge())).code).toBe('revoked')
    expect([server.asked.length, server.rests]).toEqual([2, 1])
  })

  test('the warning is repeated after Purser was reachable', async () => {
    const server = createServer()
    server.answer = throwing(unreachable)
    await server.judge()
    server.answer = () => yes
    server.seconds = 5
    await server.judge()
    server.answer = throwing(unreachable)
    server.seconds = 1_000
    await server.judge()
    expect(server.warnings.length).toBe(2)
  })

  test('without a credential nothing is sent', async () => {
    const server = createServer()
    server.held = undefined
    await server.judge()
    expect((await failing(server.judge('one', { revocation: 'require' }))).code).toBe('not_requested')
    expect([server.asked.length, server.warnings.length]).toEqual([0, 1])
  })

  test('after close() no warning appears', async () => {
    const server = createServer()
    server.answer = () => new Promise(() => undefined)
    const waiting = server.judge()
    server.closing.abort(new PurserError('closed', 'this Purser client was closed'))
    expect((await failing(waiting)).code).toBe('closed')
    expect(server.warnings).toEqual([])
  })
})

describe('a clock that is set', () => {
  const hour = 3600

  test.each([[-hour], [hour]])(
    'by %i s: the answer is used again for ten seconds, neither longer nor shorter',
    async (step) => {
      const server = createServer()
      await server.judge()
      server.stepped = step
      server.answer = () => no
      server.seconds = 9.9
      await server.judge()
      server.seconds = 10
      expect((await failing(server.judge())).code).toBe('revoked')
    },
  )

  test('back, during an outage: the pause is five seconds, and the answer applies for five minutes', async () => {
    const server = createServer()
    await server.judge()
    server.answer = throwing(unreachable)
    server.seconds = 20
    await server.judge()
    server.stepped = -hour
    server.seconds = 25
    const before = server.asked.length
    await server.judge('two')
    expect(server.asked.length).toBeGreaterThan(before)
    expect(server.warnings.length).toBe(1)
    server.seconds = 299
    await server.judge()
    expect(server.warnings.length).toBe(1)
    server.answer = () => yes
    await server.judge('three')
    server.answer = throwing(unreachable)
    server.seconds = 310
    await server.judge()
    expect(server.warnings.length).toBe(2)
  })
})

/** The whole client with real parts, except for the clock. */
test('a clock that is set back does not switch revocation off', async () => {
  vi.useFakeTimers({ toFake: ['Date', 'performance'] })
  onTestFinished(() => void vi.useRealTimers())
  const purser = createTestPurser()
  onTestFinished(() => purser.close())
  const web = await purser.connect({ spiffeId: 'spiffe://example.org/web', jwts: ['payments'] })
  const api = await purser.connect({ spiffeId: 'spiffe://example.org/api' })
  const token = await web.jwt('payments')
  vi.advanceTimersByTime(9_000)
  await api.verifyJwt(token, { audience: 'payments' })
  await purser.revoke({ session: web.session.id })
  vi.setSystemTime(Date.now() - 9_000)
  vi.advanceTimersByTime(10_000)
  expect((await failing(api.verifyJwt(token, { audience: 'payments' }))).code).toBe('revoked')
})
