/** Operators as accounts: their life cycle, their names, and the last admin. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { account, entryFor, stored, tokenFor } from '../support/accounts.ts'
import { type Ask, createAsk, entriesOf, fault } from '../support/operator.ts'
import { type TestPurser, startPurser } from '../support/purser.ts'
import { frontDoorStores } from '../support/stores.ts'

describe.each(frontDoorStores)('operators (%s)', (store) => {
  let purser: TestPurser
  let ask: Ask
  beforeAll(async () => {
    purser = await startPurser({ store })
    ask = createAsk(purser)
  })
  afterAll(() => purser.stop())

  it('are created, read, listed, replaced, disabled, enabled and removed, each with an entry', async () => {
    const created = await ask('createOperator', { body: { name: 'ada', role: 'operator' } })
    expect(fault(created)).toBe('201 ')
    expect(created.headers.get('etag')).toBe('"1"')
    expect(created.body).toMatchObject({ name: 'ada', role: 'operator', disabled: false, revision: 1 })
    expect(await entryFor(purser, created)).toMatchObject({
      action: 'operator.create',
      resource: { kind: 'operator', id: created.body.id, name: 'ada', revision: 1 },
      change: { after: { name: 'ada', role: 'operator', disabled: false } },
    })

    expect((await ask('getOperator', { name: 'ada' })).body).toEqual(created.body)
    const { items } = (await ask('listOperators')).body as { items: { name: string }[] }
    expect(items.map(({ name }) => name)).toEqual(['ada', 'admin'])

    const body = { name: 'ada', role: 'auditor' }
    const replaced = await ask('replaceOperator', { name: 'ada', body, ifMatch: 1 })
    expect(replaced.body).toMatchObject({ id: created.body.id, role: 'auditor', revision: 2 })
    expect(await entryFor(purser, replaced)).toMatchObject({
      action: 'operator.replace',
      change: { before: { role: 'operator' }, after: { role: 'auditor' } },
    })

    const disabled = await ask('disableOperator', { name: 'ada', reason: 'on leave' })
    expect(disabled.body).toMatchObject({ disabled: true, revision: 3 })
    expect(await entryFor(purser, disabled)).toMatchObject({
      action: 'operator.disable',
      actor: { note: 'on leave' },
      change: { before: { disabled: false }, after: { disabled: true } },
    })
    expect((await ask('disableOperator', { name: 'ada' })).body).toMatchObject({ disabled: true, revision: 3 })
    const enabled = await ask('enableOperator', { name: 'ada' })
    expect(enabled.body).toMatchObject({ disabled: false, revision: 4 })
    expect(await entryFor(purser, enabled)).toMatchObject({ action: 'operator.enable' })

    const { id } = await tokenFor(ask, 'ada')
    const removed = await ask('deleteOperator', { name: 'ada', ifMatch: 4 })
    expect(fault(removed)).toBe('204 ')
    expect(await entryFor(purser, removed)).toMatchObject({
      action: 'operator.delete',
      change: { before: { name: 'ada', role: 'auditor', disabled: false }, after: { deleted: true } },
      detail: { revokedTokenIds: [id] },
    })
    expect(fault(await ask('getOperator', { name: 'ada' }))).toBe('404 not_found')
  })

  it('are replaced and removed at the revision that the caller read', async () => {
    const body = { name: 'bea', role: 'operator' }
    expect(fault(await ask('replaceOperator', { name: 'bea', body }))).toBe('428 precondition_required')
    expect(fault(await ask('replaceOperator', { name: 'bea', body, ifMatch: 0 }))).toBe('201 ')
    expect(fault(await ask('replaceOperator', { name: 'bea', body, ifMatch: 0 }))).toBe('412 stale')
    expect(fault(await ask('deleteOperator', { name: 'bea', ifMatch: 2 }))).toBe('412 stale')
    expect(fault(await ask('replaceOperator', { name: 'bob', body, ifMatch: 0 }))).toBe('422 impossible /name')
    expect(fault(await ask('createOperator', { body }))).toBe('409 already_exists')
    expect(fault(await ask('disableOperator', { name: 'nobody' }))).toBe('404 not_found')
    expect(fault(await ask('deleteOperator', { name: 'bea', ifMatch: 1 }))).toBe('204 ')
  })

  it('are created once for one Idempotency-Key', async () => {
    const create = () => ask('createOperator', { body: { name: 'cy', role: 'auditor' }, idempotencyKey: 'k1' })
    const [first, repeat] = [await create(), await create()]
    expect([repeat.status, repeat.body]).toEqual([201, first.body])
    expect(repeat.headers.get('purser-log-index')).toBe(first.headers.get('purser-log-index'))
  })

  it('start anew under a reused name: no earlier token works', async () => {
    const { token } = await account(ask, 'dan', 'operator')
    expect(fault(await ask('whoAmI', { token }))).toBe('200 ')
    await ask('deleteOperator', { name: 'dan', ifMatch: 1 })
    await account(ask, 'dan', 'operator')
    expect(fault(await ask('whoAmI', { token }))).toBe('401 unauthenticated')
  })

  const names: [string, string][] = [
    ['upper case', 'Ada'],
    ['a space', 'ada lovelace'],
    ['a space at the end', 'ada '],
    ['a letter with a combining accent', 'ade\u0301'],
    ['a composed letter', 'ad\u00e9'],
    ['a letter of another script', '\u0430da'],
    ['full-width letters', '\uff41\uff44\uff41'],
    ['a character without a width', 'a\u200bda'],
    ['a sign that changes the direction', 'a\u202eda'],
    ['a NUL', 'a\u0000da'],
    ['a lone surrogate', 'a\ud800'],
    ['a slash', 'ada/eve'],
    ['a percent sign', 'ada%20'],
    ['a leading dot', '.ada'],
    ['nothing', ''],
    ['64 characters', 'a'.repeat(64)],
    ['a megabyte', 'a'.repeat(1_000_000)],
  ]
  it.each(names)('refuse a name with %s, and record it', async (_, name) => {
    const before = await stored(purser)
    const answer = await ask('createOperator', { body: { name, role: 'admin' } })
    expect(fault(answer)).toMatch(/^(?:400 invalid_(?:request|json) \/name|413 too_large)$/)
    const entries = await entriesOf(purser, answer.headers.get('purser-request-id'))
    expect(entries).toMatchObject([{ action: 'operator.create', outcome: 'refused', actor: { operator: 'admin' } }])
    expect(await stored(purser)).toEqual(before)
  })

  it.each(['anonymous', 'bootstrap', 'operator', 'self', 'system', 'workload'])(
    'refuse the reserved name %s, and record it',
    async (name) => {
      const before = await stored(purser)
      const body = { name, role: 'operator' }
      for (const answer of [
        await ask('createOperator', { body }),
        await ask('replaceOperator', { name, body, ifMatch: 0 }),
      ]) {
        expect(fault(answer)).toBe('422 impossible /name')
        expect(answer.text).toContain('is reserved')
        expect(await entryFor(purser, answer)).toMatchObject({ outcome: 'refused', reason: 'impossible' })
      }
      expect(await stored(purser)).toEqual(before)
    },
  )
})

describe('the last admin', () => {
  let purser: TestPurser
  let ask: Ask
  let only: string
  beforeEach(async () => {
    await purser?.stop()
    purser = await startPurser({ store: 'postgres' })
    ask = createAsk(purser)
    only = String((await ask('whoAmI')).body.tokenId)
  })
  afterAll(() => purser.stop())

  const loses = () =>
    [
      ['disabled', () => ask('disableOperator', { name: 'admin' })],
      ['removed', () => ask('deleteOperator', { name: 'admin', ifMatch: 1 })],
      [
        'demoted',
        () => ask('replaceOperator', { name: 'admin', body: { name: 'admin', role: 'operator' }, ifMatch: 1 }),
      ],
      ['without a token', () => ask('revokeToken', { name: only })],
    ] as const

  async function isKept(): Promise<void> {
    for (const [change, lose] of loses()) {
      const before = await stored(purser)
      const answer = await lose()
      expect(fault(answer), change).toBe('409 conflict')
      expect(answer.text).toContain('no enabled admin with a live admin token')
      expect(await entryFor(purser, answer)).toMatchObject({ outcome: 'refused', reason: 'conflict' })
      expect(await stored(purser)).toEqual(before)
      expect(fault(await ask('whoAmI'))).toBe('200 ')
    }
  }

  it('can be neither disabled nor removed nor demoted, and keeps a token', () => isKept())

  it('is not replaced by an admin without a token, a disabled one, or one whose token is limited to routes', async () => {
    await ask('createOperator', { body: { name: 'no-token', role: 'admin' } })
    await account(ask, 'off', 'admin')
    await ask('disableOperator', { name: 'off' })
    await account(ask, 'demoted', 'admin')
    await ask('replaceOperator', { name: 'demoted', body: { name: 'demoted', role: 'auditor' }, ifMatch: 1 })
    await ask('createOperator', { body: { name: 'limited', role: 'admin' } })
    await tokenFor(ask, 'limited', { routes: ['GET /api/v1/tokens'] })
    await tokenFor(ask, 'limited', { role: 'operator' })
    await isKept()
  })

  it('is not contained, by name or by token, until another one can act', async () => {
    await account(ask, 'off', 'admin')
    await ask('disableOperator', { name: 'off' })
    for (const match of [{ operator: 'admin' }, { tokenId: only }]) {
      const contain = await ask('createContainment', { body: { match }, reason: 'incident 42' })
      expect(fault(contain)).toBe('409 conflict')
    }
    await ask('enableOperator', { name: 'off' })
    const body = { match: { operator: 'admin' } }
    expect((await ask('createContainment', { body, reason: 'incident 42' })).status).toBeLessThan(300)
    expect(fault(await ask('whoAmI'))).toBe('401 unauthenticated')
  })

  it('may be removed once another one has a token', async () => {
    const { token } = await account(ask, 'eve', 'admin')
    expect(fault(await ask('disableOperator', { name: 'admin' }))).toBe('200 ')
    expect(fault(await ask('whoAmI'))).toBe('401 unauthenticated')
    expect(fault(await ask('disableOperator', { name: 'eve', token }))).toBe('409 conflict')
    expect(fault(await ask('enableOperator', { name: 'admin', token }))).toBe('200 ')
    expect(fault(await ask('whoAmI'))).toBe('200 ')
  })

  it('stays when two admins remove each other at the same time', async () => {
    const { token } = await account(ask, 'eve', 'admin')
    const answers = await Promise.all([
      ask('disableOperator', { name: 'eve' }),
      ask('disableOperator', { name: 'admin', token }),
    ])
    expect(answers.map(fault).filter((outcome) => outcome === '200 ')).toHaveLength(1)
    const works = await Promise.all([ask('whoAmI'), ask('whoAmI', { token })])
    expect(works.map(fault).sort()).toEqual(['200 ', '401 unauthenticated'])
  })

  it('replaces its only token in one call', async () => {
    const replaced = await ask('replaceToken', { name: only })
    expect(fault(replaced)).toBe('201 ')
    expect(replaced.body).toMatchObject({ operator: 'admin', role: 'admin' })
    expect(await entryFor(purser, replaced)).toMatchObject({
      action: 'token.replace',
      resource: { kind: 'api-token', id: replaced.body.id, name: 'admin' },
      issued: { apiToken: { id: replaced.body.id } },
      change: { before: { id: only }, after: { operator: 'admin', role: 'admin' } },
      detail: { revokedTokenId: only },
    })
    expect(fault(await ask('whoAmI'))).toBe('401 unauthenticated')
    const token = String(replaced.body.token)
    expect((await ask('whoAmI', { token })).body).toMatchObject({ operator: 'admin', tokenId: replaced.body.id })
  })
})
