/** Logins with a password: what is refused, and what ends a session, at two replicas. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { account, entryFor, stored, tokenFor } from '../support/accounts.ts'
import { accountWithPassword, anyAddress, logIn, password, callerView, sessionOf } from '../support/logins.ts'
import { type Ask, createAsk, fault, readLog } from '../support/operator.ts'
import { type TestPurser, startPurser, startReplica } from '../support/purser.ts'

let purser: TestPurser
let replica: TestPurser
let ask: Ask
let askReplica: Ask
beforeAll(async () => {
  purser = await startPurser({ store: 'postgres', env: anyAddress })
  replica = await startReplica(purser, { env: anyAddress })
  ask = createAsk(purser)
  askReplica = createAsk(replica)
  await accountWithPassword(ask, 'ada', 'operator')
})
afterAll(async () => {
  await replica.stop()
  await purser.stop()
})

const withinASecond = { timeout: 1000, interval: 20 }
let addresses = 0
/** An address that no other test uses. */
const newAddress = (): string => `198.18.${(++addresses >> 8) & 255}.${addresses & 255}`

describe('a login', () => {
  it('is refused alike for an unknown name, a wrong password, no password and a disabled operator', async () => {
    await account(ask, 'tokens-only', 'operator')
    await accountWithPassword(ask, 'away', 'operator')
    await ask('disableOperator', { name: 'away' })
    const from = newAddress()
    const tries = [
      { operator: 'nobody', password },
      { operator: 'self', password },
      { operator: 'ada', password: 'seven swans on the leak' },
      { operator: 'tokens-only', password },
      { operator: 'away', password },
    ]
    const answers = []
    for (const body of tries) answers.push(await logIn(purser, body, { from }))
    expect(new Set(answers.map((answer) => JSON.stringify(callerView(answer)))).size).toBe(1)
    expect(answers.map(fault)).toEqual(tries.map(() => '401 unauthenticated'))
    const entries = await Promise.all(answers.map((answer) => entryFor(purser, answer)))
    expect(entries.map((entry) => [entry?.action, entry?.actor.kind, entry?.detail])).toEqual([
      ['operator.login', 'anonymous', { cause: 'no such operator' }],
      ['operator.login', 'anonymous', { cause: 'no such operator' }],
      ['operator.login', 'anonymous', { operator: 'ada', cause: 'wrong password' }],
      ['operator.login', 'anonymous', { operator: 'tokens-only', cause: 'no password' }],
      ['operator.login', 'anonymous', { operator: 'away', cause: 'disabled' }],
    ])
  })

  const big = 'x'.repeat(1_000_000)
  it.each([
    ['a name in capitals', { operator: 'Ada', password }, '400 invalid_request /operator'],
    ['a name with a space', { operator: 'ada ', password }, '400 invalid_request /operator'],
    ['a name in full width', { operator: 'ａda', password }, '400 invalid_request /operator'],
    ['a name with a mark', { operator: 'ada\u0301', password }, '400 invalid_request /operator'],
    ['an empty password', { operator: 'ada', password: '' }, '400 invalid_request /password'],
    ['a password with NUL', { operator: 'ada', password: `${password}\0` }, '400 invalid_request /password'],
    ['1025 bytes', { operator: 'ada', password: 'é'.repeat(513) }, '400 invalid_request /password'],
    ['1025 characters', { operator: 'ada', password: 'x'.repeat(1025) }, '400 invalid_request /password'],
    ['a password that is not a string', { operator: 'ada', password: [password] }, '400 invalid_request /password'],
    ['a member that does not exist', { operator: 'ada', password, role: 'admin' }, '400 invalid_request /role'],
    ['a longer life', { operator: 'ada', password, lifetimeSeconds: 43_201 }, '400 invalid_request /lifetimeSeconds'],
    ['a password of a megabyte', { operator: 'ada', password: big }, '413 too_large'],
    ['a name of a megabyte', { operator: big, password }, '413 too_large'],
  ])('with %s is refused before a hash', async (_, body, expected) => {
    const before = await stored(purser)
    expect(fault(await logIn(purser, body, { from: newAddress() })).trim()).toBe(expected)
    expect(await stored(purser)).toEqual(before)
  })

  it('gets a new token for each session, with the role of the operator, and is in the log', async () => {
    const first = await logIn(purser, { operator: 'ada', password })
    expect(first.body).toMatchObject({ operator: 'ada', role: 'operator', login: true })
    const second = await logIn(purser, { operator: 'ada', password, lifetimeSeconds: 60 })
    expect(first.body['token']).not.toBe(second.body['token'])
    expect(await entryFor(purser, second)).toMatchObject({
      action: 'operator.login',
      outcome: 'granted',
      actor: { kind: 'operator', operator: 'ada', tokenId: second.body['id'] },
      issued: { apiToken: { id: second.body['id'] } },
      change: { after: { operator: 'ada', role: 'operator', login: true } },
      detail: { knownAddress: true },
    })
    const { body } = await ask('whoAmI', { token: String(second.body['token']) })
    expect(body).toMatchObject({ operator: 'ada', login: true, expiresAt: second.body['expiresAt'] })
    const tokens = (await ask('listTokens', { query: { operator: 'ada' } })).body['items'] as { login?: boolean }[]
    expect(tokens.map(({ login }) => login)).toEqual([true, true])
    const log = JSON.stringify(await readLog(purser))
    expect(log).not.toContain(password)
    expect(purser.logs.join('')).not.toContain(password)
  })

  it('accepts other spellings of the same text', async () => {
    await ask('createOperator', { body: { name: 'zoe', role: 'auditor' } })
    await ask('setOperatorPassword', { name: 'zoe', body: { password: 'caf\u00e9 at the corner' } })
    const answer = await logIn(purser, { operator: 'zoe', password: 'cafe\u0301\u00a0at the corner' })
    expect(answer.status).toBe(201)
  })

  it('hashes again when the parameters have changed', async () => {
    const argon2 = (await import('argon2')).default
    await accountWithPassword(ask, 'veteran', 'operator')
    const hash = await argon2.hash(password, { memoryCost: 8192, timeCost: 2, parallelism: 1 })
    const [row]: { id: string }[] = await purser.knex('operator').where({ name: 'veteran' }).select('id')
    await purser.knex('operator_password').where({ operator_id: row?.id }).update({ hash })
    await sessionOf(purser, 'veteran')
    const [after]: { hash: string }[] = await purser.knex('operator_password').where({ operator_id: row?.id })
    expect(after?.hash).toMatch(/^\$argon2id\$v=19\$m=65536,t=3,p=1\$/)
    await sessionOf(purser, 'veteran')
  })

  it('ends the oldest of twenty sessions', async () => {
    await accountWithPassword(ask, 'busy', 'operator')
    const first = await sessionOf(purser, 'busy')
    const rows = Array.from({ length: 19 }, (_, n) => ({
      id: `tok_busy${n}`,
      hash: Buffer.alloc(32, n),
      operator: 'busy',
      role: 'operator',
      own_role: 'operator',
      login: true,
      created_at: new Date(),
      expires_at: new Date(Date.now() + 3_600_000),
    }))
    await purser.knex('api_token').insert(rows)
    // A change of any policy makes the servers read the rows.
    const [head]: { revision: string }[] = await purser.knex('log_head').select('revision')
    await purser
      .knex('api_token')
      .where({ operator: 'busy' })
      .update({ changed: Number(head?.revision) + 1 })
    await ask('createOperator', { body: { name: 'busy-2', role: 'operator' } })
    expect(fault(await ask('whoAmI', { token: first }))).toBe('200 ')
    await sessionOf(purser, 'busy')
    expect(fault(await ask('whoAmI', { token: first }))).toBe('401 unauthenticated')
  })
})

describe('a session', () => {
  const ends: [string, (name: string, token: string) => Promise<unknown>][] = [
    ['a logout', (_, token) => ask('logout', { token })],
    ['another password', (name) => ask('setOperatorPassword', { name, body: { password: 'nine geese on the pond' } })],
    [
      'another password of its own',
      (name, token) =>
        ask('setOperatorPassword', {
          name: 'self',
          token,
          body: { password: `nine geese of ${name}`, currentPassword: password },
        }),
    ],
    ['disabling', (name) => ask('disableOperator', { name })],
    ['another role', (name) => ask('replaceOperator', { name, body: { name, role: 'admin' }, ifMatch: 1 })],
    ['removal', (name) => ask('deleteOperator', { name, ifMatch: 1 })],
  ]

  it.each(ends)('ends with %s, at another replica within a second', async (ending, end) => {
    const name = ending.replaceAll(' ', '-')
    await accountWithPassword(ask, name, 'operator')
    const token = await sessionOf(purser, name)
    await expect.poll(() => askReplica('whoAmI', { token }).then(fault), { timeout: 5000 }).toBe('200 ')
    await end(name, token)
    expect(fault(await ask('listWorkloads', { token }))).toBe('401 unauthenticated')
    await expect
      .poll(() => askReplica('listWorkloads', { token }).then(fault), withinASecond)
      .toBe('401 unauthenticated')
  })

  it('stays ended once a disabled operator is enabled again, unlike an API token', async () => {
    await accountWithPassword(ask, 'back', 'operator')
    const session = await sessionOf(purser, 'back')
    const { token } = await tokenFor(ask, 'back')
    await ask('disableOperator', { name: 'back' })
    await ask('enableOperator', { name: 'back' })
    expect(fault(await ask('whoAmI', { token: session }))).toBe('401 unauthenticated')
    expect(fault(await ask('whoAmI', { token }))).toBe('200 ')
  })

  it('cannot be replaced by a token with a longer life', async () => {
    const token = await sessionOf(purser, 'ada')
    const { body } = await ask('whoAmI', { token })
    expect(fault(await ask('replaceToken', { name: String(body['tokenId']), token }))).toBe('409 conflict')
  })

  it('is not involved when an API token logs out', async () => {
    const { token } = await tokenFor(ask, 'ada')
    expect(fault(await ask('logout', { token }))).toBe('401 token_type')
    expect(fault(await ask('whoAmI', { token }))).toBe('200 ')
  })

  it('is not created by a login whose password changes meanwhile', async () => {
    await accountWithPassword(ask, 'racer', 'operator')
    const change = ask('setOperatorPassword', { name: 'racer', body: { password: 'nine geese on the pond' } })
    const logins = await Promise.all([1, 2].map(() => logIn(purser, { operator: 'racer', password })))
    await change
    for (const login of logins) {
      if (login.status !== 201) expect(fault(login)).toBe('401 unauthenticated')
      else expect(fault(await ask('whoAmI', { token: String(login.body['token']) }))).toBe('401 unauthenticated')
    }
  })
})

describe('a password', () => {
  const other = 'nine geese on the pond'

  it.each([
    ['11 characters', 'elevenchars'],
    ['one character', 'a'.repeat(20)],
    ['a tab', 'seven swans\ton the lake'],
  ])('of %s is refused', async (_, text) => {
    const answer = await ask('setOperatorPassword', { name: 'ada', body: { password: text } })
    expect(fault(answer)).toBe('422 impossible /password')
    expect(answer.text).not.toContain(text)
  })

  it('of oneself needs the present one, in every spelling of the name', async () => {
    const token = await sessionOf(purser, 'ada')
    for (const name of ['self', 'ada']) {
      const answer = await ask('setOperatorPassword', { name, token, body: { password: other } })
      expect(fault(answer)).toBe('403 forbidden /currentPassword')
      const wrong = await ask('setOperatorPassword', { name, token, body: { password: other, currentPassword: other } })
      expect(fault(wrong)).toBe('403 forbidden /currentPassword')
    }
    expect(fault(await ask('whoAmI', { token }))).toBe('200 ')
    await sessionOf(purser, 'ada')
  })

  it('of another operator is set only by admins', async () => {
    const { token } = await account(ask, 'plain', 'operator')
    const answer = await ask('setOperatorPassword', { name: 'ada', token, body: { password: other } })
    expect(fault(answer)).toBe('403 forbidden')
    const unknown = await ask('setOperatorPassword', { name: 'nobody', token, body: { password: other } })
    expect(fault(unknown)).toBe('403 forbidden')
    expect(fault(await ask('setOperatorPassword', { name: 'nobody', body: { password: other } }))).toBe('404 not_found')
  })

  it('is not set with a token that has less than the operator', async () => {
    await ask('createOperator', { body: { name: 'chief', role: 'admin' } })
    const narrow = await tokenFor(ask, 'chief', { role: 'auditor' })
    const answer = await ask('setOperatorPassword', { name: 'self', token: narrow.token, body: { password: other } })
    expect(fault(answer)).toBe('403 forbidden /path/name')
    const limited = await tokenFor(ask, 'chief', { routes: ['POST /api/v1/operators/{name}:password'] })
    for (const name of ['self', 'admin', 'ada']) {
      const limitedAnswer = await ask('setOperatorPassword', { name, token: limited.token, body: { password: other } })
      expect(fault(limitedAnswer)).toBe('403 forbidden /path/name')
    }
    const wide = await tokenFor(ask, 'chief')
    const first = await ask('setOperatorPassword', { name: 'self', token: wide.token, body: { password } })
    expect(first.body).toMatchObject({ name: 'chief' })
    expect(first.body['passwordAt']).toBeDefined()
    await sessionOf(purser, 'chief')
  })

  it('does not pass to a later operator of the same name', async () => {
    await accountWithPassword(ask, 'twin', 'operator')
    await ask('deleteOperator', { name: 'twin', ifMatch: 1 })
    await ask('createOperator', { body: { name: 'twin', role: 'admin' } })
    expect(fault(await logIn(purser, { operator: 'twin', password }))).toBe('401 unauthenticated')
    expect(await purser.knex('operator_password').whereNotIn('operator_id', purser.knex('operator').whereNull('deleted_at').select('id'))).toEqual([]) // prettier-ignore
  })
})
