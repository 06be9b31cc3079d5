import { inspect } from 'node:util'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { type LogFields, type LogLevel, createLogger } from '../../src/telemetry/log.ts'

function recorded(level: LogLevel = 'info', worker?: number) {
  const lines: string[] = []
  const stream = { write: (line: string) => lines.push(line) }
  const log = createLogger({ level, stream, ...(worker !== undefined && { worker }) })
  const last = (): Record<string, unknown> => JSON.parse(lines.at(-1) ?? 'null')
  return { log, lines, last }
}

/** Fields that a cast could pass. */
const untyped = (fields: Record<string, unknown>): LogFields => fields

test('a line is one JSON object with level, time, event and the passed fields', () => {
  const { log, lines, last } = recorded('info', 2)
  log.info('http.request', { requestId: 'req_1', route: 'issueCredentials', status: 200, durationMs: 1.5 })
  expect(lines).toHaveLength(1)
  expect(lines[0]?.endsWith('}\n')).toBe(true)
  expect(last()).toEqual({
    level: 'info',
    time: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
    worker: 2,
    event: 'http.request',
    requestId: 'req_1',
    route: 'issueCredentials',
    status: 200,
    durationMs: 1.5,
  })
})

test('a field that is not listed, or has another type, is dropped', () => {
  const { log, lines, last } = recorded()
  log.info(
    'a.b',
    untyped({ token: 'canary', headers: { a: 'canary' }, status: 'canary', attestor: { x: 'canary' }, worker: 3 }),
  )
  expect(lines.join('')).not.toContain('canary')
  expect(last()).toEqual({ level: 'info', time: expect.any(String), event: 'a.b', worker: 3 })
  log.info('a.b', untyped(JSON.parse('{"__proto__":{"note":"canary"},"constructor":"canary","toString":"canary"}')))
  expect(lines.join('')).not.toContain('canary')
})

test('a value in place of an event is not written', () => {
  const { log, last } = recorded()
  log.info('token canary')
  expect(last()['event']).toBe('event.misnamed')
})

test('levels below the chosen one are silent', () => {
  const { log, lines } = recorded('warn')
  log.debug('a')
  log.info('a')
  log.warn('a')
  log.error('a')
  expect(lines).toHaveLength(2)
  const silent = recorded('silent')
  silent.log.error('a')
  expect(silent.lines).toEqual([])
})

test('of an error: class, code and cause; never its message, and a stack only for our own faults', () => {
  const { log, lines, last } = recorded()
  const cause = Object.assign(new RangeError('canary-cause'), {
    code: '23505',
    detail: 'canary-detail',
    query: 'canary-query',
  })
  const error = new TypeError('canary\n    at canary (/canary.ts:1:1)', { cause })
  log.warn('a.b', { err: error })
  expect(last()['err']).toEqual({ name: 'TypeError', cause: { name: 'RangeError', code: '23505' } })
  log.error('a.b', { err: error })
  expect(lines.join('')).not.toContain('canary')
  expect(last()['err']).toMatchObject({
    name: 'TypeError',
    stack: expect.arrayContaining([expect.stringContaining('log.test.ts')]),
  })
})

test('an error that is marked as public is shown with its message', () => {
  const { log, last } = recorded()
  log.warn('a.b', { err: Object.assign(new Error('the root key file can be read by others'), { safeToLog: true }) })
  expect(last()['err']).toEqual({ name: 'Error', message: 'the root key file can be read by others' })
  log.warn('a.b', { err: Object.assign(new Error('canary'), { safeToLog: 'yes' }) })
  expect(last()['err']).toEqual({ name: 'Error' })
})

test('errors of other shapes are harmless', () => {
  const { log, lines, last } = recorded()
  const circular = new Error('canary')
  circular.cause = circular
  const odd = Object.assign(new Error('canary'), { code: 'can ary\n', stack: 7 })
  odd.name = 'canary canary'
  for (const err of [circular, odd, 'canary', { message: 'canary' }, null, 7n]) log.error('a.b', { err })
  expect(lines).toHaveLength(6)
  expect(lines.join('')).not.toContain('canary ')
  expect(lines.join('')).not.toContain('"canary"')
  expect(last()['err']).toEqual({ name: 'thrown bigint' })
})

test.each([
  ['access token', 'purser_at_c2VjcmV0LXNlY3JldA'],
  ['join token', 'x purser_join_AAAAAAAAAAAA y'],
  ['JWT', 'eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln'],
  ['JWT cut off', 'eyJhbGciOiJFUzI1NiJ9.eyJzd'],
  ['private key', '-----BEGIN PRIVATE KEY-----\nMIGH\n'],
  ['password in a URL', 'postgres://purser:hunter2@db/x'],
])('a secret in a listed field is masked by its shape: %s', (_what, value) => {
  const { log, lines, last } = recorded()
  log.info('a.b', { note: value, attestor: 'prod' })
  expect(last()).toMatchObject({ note: expect.stringContaining('[masked]'), attestor: 'prod' })
  for (const part of ['c2VjcmV0', 'AAAAAAAAAAAA', 'c2ln', 'eyJzd', 'MIGH', 'hunter2'])
    expect(lines.join('')).not.toContain(part)
})

test('no text can end the line, colour the terminal or change its direction; it is kept unchanged', () => {
  const text = 'a\nb\r\u001b[31m\u2028\u2029\u202e\u0085"\\ü😀\u007f'
  const { log, lines, last } = recorded()
  log.info('a.b', { note: text })
  expect(lines[0]).toMatch(/^[\x20-\x7e]+\n$/)
  expect(last()['note']).toBe(text)
})

test('a long string is cut', () => {
  const { log, last } = recorded()
  log.info('a.b', { note: 'x'.repeat(5_000) })
  expect(last()['note']).toBe(`${'x'.repeat(512)}…`)
})

test('any input yields a line of printable JSON with listed fields', () => {
  fc.assert(
    fc.property(
      fc.string({ unit: 'binary' }),
      fc.dictionary(fc.string(), fc.anything()),
      fc.anything(),
      (text, more, err) => {
        const { log, lines, last } = recorded()
        log.error('a.b', untyped({ ...more, note: text, err }))
        expect(lines[0]).toMatch(/^[\x20-\x7e]+\n$/)
        expect(Object.keys(last()).filter((key) => !['level', 'time', 'event', 'note', 'err'].includes(key))).toEqual(
          [],
        )
      },
    ),
    { numRuns: 300 },
  )
  expect(inspect(recorded().log)).not.toContain('Pino')
})
