import { createHash, createHmac } from 'node:crypto'
import { canonicalize } from '@purser/sdk/verify'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Ask, createAsk, entryOf, fault, readLog } from '../support/operator.ts'
import { type TestPurser, startPurser } from '../support/purser.ts'
import { frontDoorStores } from '../support/stores.ts'

const workload = (name: string, more: Record<string, unknown> = {}) => ({
  name,
  attestor: 'join',
  spiffeId: `spiffe://example.org/join/${name}`,
  ...more,
})

describe.each(frontDoorStores)('Idempotency-Key (%s)', (store) => {
  let purser: TestPurser
  let ask: Ask
  let now = Date.now()

  beforeAll(async () => {
    purser = await startPurser({ store, now: () => new Date(now) })
    ask = createAsk(purser)
  })
  afterAll(() => purser.stop())

  it.each(['', 'two words', 'é', 'a'.repeat(129)])('refuses the key %j', async (idempotencyKey) => {
    // An empty header is not a key for fetch, which leaves it in place: the server validates it like any other.
    const answer = await ask('createWorkload', { body: workload('never'), idempotencyKey })
    expect(fault(answer)).toBe('400 invalid_request /header/Idempotency-Key')
  })

  it('is refused with another body', async () => {
    const idempotencyKey = 'k-mismatch'
    expect(fault(await ask('createWorkload', { body: workload('one'), idempotencyKey }))).toBe('201 ')
    expect(fault(await ask('createWorkload', { body: workload('two'), idempotencyKey }))).toBe(
      '422 idempotency_mismatch',
    )
    expect(fault(await ask('getWorkload', { name: 'two' }))).toBe('404 not_found')
  })

  it('stores nothing of the body that could verify a guess of a value', async () => {
    await ask('putSecret', { name: 'prod/guessed', body: { data: { password: 'first' } }, ifMatch: 0 })
    const body = { data: { password: 'hunter2' } }
    const idempotencyKey = '0b7cf2f5-95d2-4f2e-8a7b-1f4c4a7c51de'
    expect((await ask('rotateSecret', { name: 'prod/guessed', body, idempotencyKey })).status).toBe(202)
    const digests: Buffer[] = await purser.knex('idempotency').pluck('request')
    const text = canonicalize(body)
    const guess = createHash('sha256').update(text).digest('hex')
    // The client's key may be as easy to guess: "1", or the name of the new object.
    const informedGuess = createHmac('sha256', idempotencyKey).update(text).digest('hex')
    expect(digests.length).toBeGreaterThan(0)
    for (const bytes of digests) expect([guess, informedGuess]).not.toContain(Buffer.from(bytes).toString('hex'))
  })

  it('is not stored for a refused request', async () => {
    const idempotencyKey = 'k-refused'
    const bad = workload('later', { spiffeId: 'spiffe://example.org/elsewhere/later' })
    expect(fault(await ask('createWorkload', { body: bad, idempotencyKey }))).toBe('422 impossible /spiffeId')
    expect(fault(await ask('createWorkload', { body: workload('later'), idempotencyKey }))).toBe('201 ')
  })

  it('answers a repeat with the resource and its log index, and creates nothing', async () => {
    const idempotencyKey = 'k-repeat'
    const body = workload('again', { labels: { a: '1', b: '2' } })
    const first = await ask('createWorkload', { body, idempotencyKey })
    const sameInOtherOrder = { labels: { b: '2', a: '1' }, ...workload('again') }
    const second = await ask('createWorkload', { body: { ...sameInOtherOrder }, idempotencyKey })
    expect(fault(second)).toBe('201 ')
    expect(second.body.id).toBe(first.body.id)
    expect(second.headers.get('purser-log-index')).toBe(first.headers.get('purser-log-index'))
    const entries = (await readLog(purser)).filter((entry) => entry.resource?.name === 'again')
    expect(entries.map((entry) => entry.resource?.revision)).toEqual([1])
    const repeat = await entryOf(purser, second)
    expect(repeat).toMatchObject({
      action: 'workload.create',
      detail: { repeats: first.headers.get('purser-log-index') },
    })
    expect(repeat?.change).toBeUndefined()
  })

  it('refuses a repeat with already_done if the resource was deleted', async () => {
    const idempotencyKey = 'k-gone'
    const { body } = await ask('createWorkload', { body: workload('brief'), idempotencyKey })
    await ask('deleteWorkload', { name: 'brief', ifMatch: 1 })
    const answer = await ask('createWorkload', { body: workload('brief'), idempotencyKey })
    expect([fault(answer), answer.body.id]).toEqual(['409 already_done', body.id])
  })

  it('does not show a one-time value again', async () => {
    await ask('createWorkload', { body: workload('agent') })
    const request = { body: { workload: 'agent' }, idempotencyKey: 'k-token' }
    const first = await ask('createJoinToken', request)
    expect(String(first.body.token)).toMatch(/^purser_join_/)
    const second = await ask('createJoinToken', request)
    expect([fault(second), second.body.id]).toEqual(['409 already_done', first.body.id])
    expect(second.text).not.toContain('purser_join_')
    const [tokens]: { count: string }[] = await purser.knex('join_token').count('* as count')
    expect(Number(tokens?.count)).toBe(1)
  })

  it('is separate for each route', async () => {
    const idempotencyKey = 'k-route'
    expect(fault(await ask('createWorkload', { body: workload('route'), idempotencyKey }))).toBe('201 ')
    expect(fault(await ask('createJoinToken', { body: { workload: 'route' }, idempotencyKey }))).toBe('201 ')
  })

  it('creates one resource for fifty concurrent requests', async () => {
    const request = { body: { workload: 'agent', uses: 2 }, idempotencyKey: 'k-fifty' }
    const answers = await Promise.all(Array.from({ length: 50 }, () => ask('createJoinToken', request)))
    expect(answers.filter((answer) => answer.status === 201)).toHaveLength(1)
    expect(new Set(answers.filter((answer) => answer.status !== 201).map(fault))).toEqual(new Set(['409 already_done']))
  })

  it('expires after a day', async () => {
    const request = { body: { workload: 'agent', uses: 3 }, idempotencyKey: 'k-day' }
    expect(fault(await ask('createJoinToken', request))).toBe('201 ')
    now += 24 * 3600_000 - 60_000
    expect(fault(await ask('createJoinToken', request))).toBe('409 already_done')
    now += 61_000
    expect(fault(await ask('createJoinToken', request))).toBe('201 ')
  })

  it('stores no reply, only hashes, a status and an id', async () => {
    const rows: Record<string, unknown>[] = await purser.knex('idempotency').select('*')
    const text = JSON.stringify(rows)
    expect(text).not.toMatch(/purser_join_|k-token|agent|admin/)
  })
})
