/** API tokens that operators create: what they may do, that none is wider than its creator, and how they end. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Token, account, entryFor, stored, tokenFor } from '../support/accounts.ts'
import { type Ask, createAsk, fault, readLog } from '../support/operator.ts'
import { type TestPurser, startPurser } from '../support/purser.ts'
import { frontDoorStores } from '../support/stores.ts'

const seconds = (from: unknown, to: unknown): number => (Date.parse(String(to)) - Date.parse(String(from))) / 1000

describe.each(frontDoorStores)('API tokens of operators (%s)', (store) => {
  let purser: TestPurser
  let ask: Ask
  const tokens: Record<string, Token> = {}
  beforeAll(async () => {
    purser = await startPurser({ store })
    ask = createAsk(purser)
    for (const role of ['admin', 'operator', 'auditor']) tokens[role] = await account(ask, `an-${role}`, role)
  })
  afterAll(() => purser.stop())
  const tokenOf = (role: string): string => tokens[role]?.token ?? ''

  it('are created by an operator for itself, with its role and for 30 days', async () => {
    const answer = await ask('createToken', { body: {}, token: tokenOf('operator') })
    expect(answer.body).toMatchObject({ operator: 'an-operator', role: 'operator' })
    expect(seconds(answer.body.createdAt, answer.body.expiresAt)).toBe(30 * 86_400)
    expect(await entryFor(purser, answer)).toMatchObject({
      action: 'token.create',
      actor: { kind: 'operator', operator: 'an-operator' },
      resource: { kind: 'api-token', id: answer.body.id, name: 'an-operator' },
      issued: { apiToken: { id: answer.body.id } },
      change: { after: { operator: 'an-operator', role: 'operator' } },
    })
    expect((await ask('whoAmI', { token: String(answer.body.token) })).body).toMatchObject({
      operator: 'an-operator',
      tokenId: answer.body.id,
    })
  })

  it('are in no entry, no row and no list', async () => {
    const { token, id } = await tokenFor(ask, 'an-auditor', { description: 'nightly report', lifetimeSeconds: 60 })
    expect(JSON.stringify(await readLog(purser))).not.toContain(token)
    expect(JSON.stringify(await purser.knex('api_token'))).not.toContain(token)
    const list = await ask('listTokens', { query: { operator: 'an-auditor' } })
    expect(list.text).not.toContain(token)
    expect(list.body.items).toEqual(
      expect.arrayContaining([expect.objectContaining({ id, role: 'auditor', description: 'nightly report' })]),
    )
  })

  it('are not shown again for an Idempotency-Key', async () => {
    const create = () => ask('createToken', { body: {}, token: tokenOf('operator'), idempotencyKey: 'once' })
    const [first, repeat] = [await create(), await create()]
    expect(fault(repeat)).toBe('409 already_done')
    expect(repeat.body.id).toBe(first.body.id)
    const replace = () =>
      ask('replaceToken', { name: String(first.body.id), token: tokenOf('operator'), idempotencyKey: 'r' })
    const [replaced, later] = [await replace(), await replace()]
    expect(fault(later)).toBe('409 already_done')
    expect(later.body.id).toBe(replaced.body.id)
    const rows = JSON.stringify(await purser.knex('idempotency'))
    for (const { body } of [first, replaced]) expect(rows).not.toContain(body.token)
  })

  it('live from a minute to a year', async () => {
    for (const lifetimeSeconds of [59, 31_536_001, 0, -1, 1.5, '60'])
      expect(fault(await ask('createToken', { body: { lifetimeSeconds } }))).toBe(
        '400 invalid_request /lifetimeSeconds',
      )
    expect(fault(await ask('createToken', { body: { lifetimeSeconds: 31_536_000 } }))).toBe('201 ')
  })

  it('are at most a hundred live ones of an operator', async () => {
    await ask('createOperator', { body: { name: 'many', role: 'auditor' } })
    let last: Token | undefined
    for (let n = 0; n < 100; n++) last = await tokenFor(ask, 'many')
    expect(fault(await ask('createToken', { body: { operator: 'many' } }))).toBe('409 conflict')
    await ask('revokeToken', { name: last?.id ?? '' })
    expect(fault(await ask('createToken', { body: { operator: 'many' } }))).toBe('201 ')
  })

  type Try = [what: string, by: string, body: object, outcome: string]
  const escalations: Try[] = [
    ['an operator requests the role admin', 'operator', { role: 'admin' }, '403 forbidden /role'],
    ['an operator requests the role auditor', 'operator', { role: 'auditor' }, '403 forbidden /role'],
    ['an auditor requests the role admin', 'auditor', { role: 'admin' }, '403 forbidden /role'],
    ['an auditor requests the role operator', 'auditor', { role: 'operator' }, '403 forbidden /role'],
    ['an operator creates one for an admin', 'operator', { operator: 'admin' }, '403 forbidden /operator'],
    ['an auditor creates one for another operator', 'auditor', { operator: 'an-operator' }, '403 forbidden /operator'],
    ['an auditor asks for an operator that does not exist', 'auditor', { operator: 'nobody' }, '403 forbidden /operator'],
    ['an admin gives an operator a wider role than its own', 'admin', { operator: 'an-operator', role: 'admin' }, '422 impossible /role'],
    ['an admin gives an operator the other role', 'admin', { operator: 'an-operator', role: 'auditor' }, '422 impossible /role'],
    ['an admin names an unknown operator', 'admin', { operator: 'nobody' }, '422 impossible /operator'],
    ['an unknown role', 'admin', { role: 'root' }, '400 invalid_request /role'],
    ['an unknown member', 'operator', { permissions: ['keys.write'] }, '400 invalid_request /permissions'],
    ['no route', 'operator', { routes: [] }, '400 invalid_request /routes'],
    ['a route that does not exist', 'operator', { routes: ['GET /api/v1/workload'] }, '422 impossible /routes/0'],
    ['a route without a token', 'operator', { routes: ['GET /keys'] }, '422 impossible /routes/0'],
    ['a route in other letters', 'operator', { routes: ['GET /API/v1/workloads'] }, '422 impossible /routes/0'],
    ['a pattern', 'operator', { routes: ['GET /api/v1/*'] }, '422 impossible /routes/0'],
  ] // prettier-ignore

  it.each(escalations)('are refused, recorded and change nothing when %s', async (_, by, body, outcome) => {
    const before = await stored(purser)
    const answer = await ask('createToken', { body, token: tokenOf(by) })
    expect(fault(answer)).toBe(outcome)
    expect(await entryFor(purser, answer)).toMatchObject({
      action: 'token.create',
      outcome: 'refused',
      reason: outcome.split(' ')[1],
      actor: { kind: 'operator', operator: `an-${by}` },
    })
    expect(await stored(purser)).toEqual(before)
  })

  it('suggest the nearest route to a misspelt one', async () => {
    const { text } = await ask('createToken', { body: { routes: ['GET /api/v1/workload'] } })
    expect(text).toContain('did you mean GET /api/v1/workloads?')
  })

  it('pass on no route that their own token lacks', async () => {
    const routes = ['POST /api/v1/tokens', 'POST /api/v1/tokens/{id}:replace', 'GET /api/v1/workloads']
    for (const role of ['admin', 'operator']) {
      const narrow = await tokenFor(ask, `an-${role}`, { routes })
      const token = narrow.token
      const wider = await ask('createToken', { body: { routes: [...routes, 'GET /api/v1/attestors'] }, token })
      expect(fault(wider)).toBe('403 forbidden /routes')
      expect(await entryFor(purser, wider)).toMatchObject({ outcome: 'refused', reason: 'forbidden' })
      const inherited = await ask('createToken', { body: {}, token })
      expect(inherited.body.routes).toEqual([...routes].sort())
      const fewer = await ask('createToken', { body: { routes: ['GET /api/v1/workloads'] }, token })
      expect(fewer.body.routes).toEqual(['GET /api/v1/workloads'])
      // The wider token of the same operator, by its replacement.
      const answer = await ask('replaceToken', { name: tokens[role]?.id ?? '', token })
      expect(fault(answer)).toBe('403 forbidden /path/id')
      expect(fault(await ask('whoAmI', { token: tokenOf(role) }))).toBe('200 ')
      const own = await ask('replaceToken', { name: narrow.id, token })
      expect(own.body.routes).toEqual([...routes].sort())
    }
  })

  it('pass on no role that their own token lacks, whatever their operator is', async () => {
    const { token } = await tokenFor(ask, 'an-admin', { role: 'auditor' })
    expect(fault(await ask('createToken', { body: { role: 'admin' }, token }))).toBe('403 forbidden /role')
    expect(fault(await ask('createToken', { body: { operator: 'an-operator' }, token }))).toBe(
      '403 forbidden /operator',
    )
    expect(fault(await ask('replaceToken', { name: tokens.admin?.id ?? '', token }))).toBe('403 forbidden /path/id')
    expect((await ask('createToken', { body: {}, token })).body.role).toBe('auditor')
  })

  it("allow no more than their operator's present role", async () => {
    const { token } = await account(ask, 'fay', 'admin')
    expect(fault(await ask('listOperators', { token }))).toBe('200 ')
    await ask('replaceOperator', { name: 'fay', body: { name: 'fay', role: 'operator' }, ifMatch: 1 })
    expect((await ask('whoAmI', { token })).body).toMatchObject({ role: 'admin', operatorRole: 'operator' })
    expect(fault(await ask('listOperators', { token }))).toBe('403 forbidden')
    expect(fault(await ask('listWorkloads', { token }))).toBe('200 ')
    expect(fault(await ask('createToken', { body: { role: 'admin' }, token }))).toBe('403 forbidden /role')
    const grants = { operator: { role: 'admin', bound: 'everything' } }
    const body = { name: 'fays', attestor: 'join', spiffeId: 'spiffe://example.org/join/fays', grants }
    expect(fault(await ask('createWorkload', { body, token }))).toBe('403 forbidden /grants/operator/role')
    // The roles exclude each other, so no role can be passed on.
    const { token: half } = await tokenFor(ask, 'fay', { role: 'operator' })
    await ask('replaceOperator', { name: 'fay', body: { name: 'fay', role: 'auditor' }, ifMatch: 2 })
    expect(fault(await ask('createToken', { body: {}, token: half }))).toBe('422 impossible /role')
    expect(fault(await ask('createToken', { body: { role: 'auditor' }, token: half }))).toBe('403 forbidden /role')
    expect(fault(await ask('listWorkloads', { token: half }))).toBe('200 ')
    expect(fault(await ask('listTokens', { token: half }))).toBe('403 forbidden')
  })

  it('administer operators only as an admin', async () => {
    const before = await stored(purser)
    const self = (role: string) => ({ name: `an-${role}`, role: 'admin' })
    for (const role of ['operator', 'auditor']) {
      const token = tokenOf(role)
      const name = `an-${role}`
      const answers = [
        await ask('createOperator', { body: { name: 'mallory', role: 'admin' }, token }),
        await ask('replaceOperator', { name, body: self(role), ifMatch: 1, token }),
        await ask('replaceOperator', { name: 'mallory', body: { name: 'mallory', role: 'admin' }, ifMatch: 0, token }),
        await ask('deleteOperator', { name: 'admin', ifMatch: 1, token }),
        await ask('disableOperator', { name: 'admin', token }),
        await ask('enableOperator', { name, token }),
        await ask('replaceToken', { name: tokens.admin?.id ?? '', token }),
        await ask('revokeToken', { name: tokens.admin?.id ?? '', token }),
        await ask('revokeToken', { name: 'tok_nobody', token }),
      ]
      for (const answer of answers) {
        expect(fault(answer)).toBe('403 forbidden')
        expect(await entryFor(purser, answer)).toMatchObject({
          outcome: 'refused',
          reason: 'forbidden',
          actor: { operator: name },
        })
      }
    }
    expect(await stored(purser)).toEqual(before)
  })

  it('are listed and revoked by their own operator', async () => {
    const token = tokenOf('operator')
    expect(fault(await ask('listTokens', { token }))).toBe('403 forbidden')
    expect(fault(await ask('listTokens', { token, query: { operator: 'admin' } }))).toBe('403 forbidden')
    for (const operator of ['self', 'an-operator']) {
      const { items } = (await ask('listTokens', { token, query: { operator } })).body as { items: Token[] }
      expect(new Set(items.map((row) => row.operator))).toEqual(new Set(['an-operator']))
    }
    const other = await tokenFor(ask, 'self', {}, token)
    expect(fault(await ask('revokeToken', { name: other.id, token }))).toBe('204 ')
    expect(fault(await ask('whoAmI', { token: other.token }))).toBe('401 unauthenticated')
    expect(fault(await ask('revokeToken', { name: other.id, token }))).toBe('404 not_found')
    const own = await tokenFor(ask, 'self', {}, token)
    expect(fault(await ask('revokeToken', { name: own.id, token: own.token }))).toBe('204 ')
    expect(fault(await ask('whoAmI', { token: own.token }))).toBe('401 unauthenticated')
  })

  it('are not created or replaced for a disabled operator', async () => {
    const { id } = await account(ask, 'gus', 'operator')
    await ask('disableOperator', { name: 'gus' })
    expect(fault(await ask('createToken', { body: { operator: 'gus' } }))).toBe('422 impossible /operator')
    expect(fault(await ask('replaceToken', { name: id }))).toBe('409 conflict')
    expect(fault(await ask('revokeToken', { name: id }))).toBe('204 ')
  })

  it('show their last use, which invalidates no decision', async () => {
    const { id, token } = await account(ask, 'hal', 'auditor')
    const row = async () =>
      ((await ask('listTokens', { query: { operator: 'hal' } })).body.items as { id: string; lastUsedAt?: string }[])[0]
    expect((await row())?.lastUsedAt).toBeUndefined()
    await ask('whoAmI', { token })
    await expect.poll(async () => (await row())?.lastUsedAt, { timeout: 5000 }).toBeDefined()
    const first = await row()
    const revision = (): Promise<{ revision: string }> => purser.knex('log_head').first('revision')
    const before = await revision()
    for (let n = 0; n < 3; n++) await ask('whoAmI', { token })
    expect((await row())?.lastUsedAt).toBe(first?.lastUsedAt)
    expect([await revision(), first?.id]).toEqual([before, id])
  })

  it('are not created by a workload or with a bootstrap token', async () => {
    for (const token of ['purser_boot_', 'purser_at_', 'purser_join_'].map((form) => `${form}${'A'.repeat(43)}`))
      expect(fault(await ask('createToken', { body: {}, token }))).toBe('401 token_type')
  })
})
