/** Passkeys of operators: how they are added, listed and removed, and what ends them. */
import { randomBytes } from 'node:crypto'
import { Secret, TOTP } from 'otpauth'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { account, entryFor } from '../support/accounts.ts'
import { type Algorithm, type Twist, cbor, createFakeAuthenticator } from '../support/fake-authenticator.ts'
import { accountWithPassword, anyAddress, logIn, password, sessionOf } from '../support/logins.ts'
import { type Ask, createAsk, fault } from '../support/operator.ts'
import { type Enrolled, confirm, enrolmentOf, passkeyLogin, withPasskey } from '../support/passkeys.ts'
import { type TestPurser, audience, startPurser } from '../support/purser.ts'

let purser: TestPurser
let ask: Ask
let now = Date.now()
beforeAll(async () => {
  purser = await startPurser({ store: 'postgres', env: anyAddress, now: () => new Date(now) })
  ask = createAsk(purser)
})
afterAll(() => purser.stop())

const newSession = async (name: string): Promise<string> => {
  await accountWithPassword(ask, name, 'operator')
  return sessionOf(purser, name)
}
const fake = (algorithm?: Algorithm) => createFakeAuthenticator(audience, algorithm)
const loginOf = async ({ authenticator }: Pick<Enrolled, 'authenticator'>): Promise<string> =>
  fault(await passkeyLogin(purser, authenticator))
const rowsOf = async (name: string): Promise<object[]> =>
  purser
    .knex('operator_passkey as p')
    .join('operator as o', 'o.id', 'p.operator_id')
    .where('o.name', name)
    .select<object[]>('p.id')

describe('an enrolment', () => {
  it('is recorded, and shows neither key nor credential', async () => {
    const token = await newSession('ada')
    const authenticator = fake()
    const options = await enrolmentOf(ask, token)
    expect(options).toMatchObject({
      rp: { id: 'purser.example.org' },
      user: { name: 'ada' },
      attestation: 'none',
      authenticatorSelection: { residentKey: 'required', userVerification: 'required' },
      excludeCredentials: [],
    })
    expect(Buffer.from(options.user?.id ?? '', 'base64url').toString()).toMatch(/^op_/)
    const added = await confirm(ask, token, authenticator.create(options), 'Laptop in Zürich')
    expect(added.body).toEqual({
      id: expect.stringMatching(/^pk_/),
      label: 'Laptop in Zürich',
      createdAt: expect.any(String),
    })
    expect(await entryFor(purser, added)).toMatchObject({
      action: 'operator.second-factor',
      detail: { step: 'passkey-confirmed', passkey: added.body['id'] },
    })
    expect((await ask('listPasskeys', { name: 'self', token })).body).toEqual({ items: [added.body] })
    expect((await ask('getOperator', { name: 'ada' })).body).toMatchObject({ passkeys: 1 })
    const secondOptions = await enrolmentOf(ask, token)
    expect(secondOptions).toMatchObject({ excludeCredentials: [{ type: 'public-key', id: authenticator.id }] })
    expect(fault(await confirm(ask, token, authenticator.create(secondOptions)))).toBe('409 already_exists')
  })

  it('needs the present password', async () => {
    const token = await newSession('needs')
    const enrol = (body?: object) => ask('enrolPasskey', { name: 'self', token, body })
    expect(fault(await enrol())).toBe('403 forbidden /currentPassword')
    expect(fault(await enrol({ currentPassword: 'seven swans on the leak' }))).toBe('403 forbidden /currentPassword')
    expect(fault(await enrol({ currentPassword: 'x'.repeat(20_000) }))).toBe('413 too_large')
    const { token: api } = await account(ask, 'no-password', 'operator')
    expect(fault(await ask('enrolPasskey', { name: 'self', token: api, body: {} }))).toBe('409 conflict')
  })

  it('needs a code beside a second factor, which it uses up', async () => {
    const token = await newSession('two-factors')
    const { body } = await ask('enrolTotp', { name: 'self', token })
    const totp = new TOTP({ secret: Secret.fromBase32(String(body['secret'])) })
    const code = (): string => totp.generate({ timestamp: now })
    expect((await ask('confirmTotp', { name: 'self', token, body: { code: code() } })).status).toBe(200)
    const enrol = (more: object) =>
      ask('enrolPasskey', { name: 'self', token, body: { currentPassword: password, ...more } })
    expect(fault(await enrol({}))).toBe('403 forbidden /code')
    now += 30_000
    const wrong = String((Number(code()) + 1) % 1_000_000).padStart(6, '0')
    expect(fault(await enrol({ code: wrong }))).toBe('403 forbidden /code')
    const authenticator = fake()
    const options = await enrolmentOf(ask, token, { code: code() })
    expect(fault(await enrol({ code: code() }))).toBe('401 unauthenticated')
    expect(fault(await confirm(ask, token, authenticator.create(options)))).toBe('201 ')
    expect(await loginOf({ authenticator })).toBe('201 ')
    expect(fault(await logIn(purser, { operator: 'two-factors', password }))).toBe('401 code_required')
  })

  it('is of oneself alone, with all rights of the operator', async () => {
    await newSession('someone')
    expect(fault(await ask('enrolPasskey', { name: 'someone', body: { currentPassword: password } }))).toBe(
      '403 forbidden',
    )
    const { body } = await ask('createToken', {
      body: { operator: 'someone', routes: ['POST /api/v1/operators/{name}:enrol-passkey'] },
    })
    const token = String(body['token'])
    const answer = await ask('enrolPasskey', { name: 'self', token, body: { currentPassword: password } })
    expect(fault(answer)).toBe('403 forbidden /path/name')
  })

  it('is confirmed once, by the session that began it, within five minutes', async () => {
    const token = await newSession('once')
    const options = await enrolmentOf(ask, token)
    const elsewhere = await sessionOf(purser, 'once')
    const expired = await enrolmentOf(ask, token)
    expect(fault(await confirm(ask, elsewhere, fake().create(options)))).toBe('422 impossible /credential')
    const replies = await Promise.all([1, 2, 3].map(() => confirm(ask, token, fake().create(options))))
    expect(replies.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([201, 409, 409])
    now += 300_000
    expect(fault(await confirm(ask, token, fake().create(expired)))).toBe('422 impossible /credential')
    expect(await rowsOf('once')).toHaveLength(1)
  })

  it('ends with a change of the password', async () => {
    const { token } = await account(ask, 'changes', 'operator')
    await ask('setOperatorPassword', { name: 'changes', body: { password } })
    const options = await enrolmentOf(ask, token)
    now += 1000
    await ask('setOperatorPassword', { name: 'changes', body: { password: 'eight swans on the lake' } })
    expect(fault(await confirm(ask, token, fake().create(options)))).toBe('422 impossible /credential')
  })

  it('is refused beyond ten passkeys', async () => {
    const token = await newSession('many')
    const spare = await enrolmentOf(ask, token)
    for (let n = 0; n < 10; n++)
      expect(fault(await confirm(ask, token, fake().create(await enrolmentOf(ask, token))))).toBe('201 ')
    expect(fault(await confirm(ask, token, fake().create(spare)))).toBe('409 conflict')
    const more = await ask('enrolPasskey', { name: 'self', token, body: { currentPassword: password } })
    expect(fault(more)).toBe('409 conflict')
    expect((await ask('getOperator', { name: 'many' })).body).toMatchObject({ passkeys: 10 })
  }, 30_000)
})

describe('an attestation is refused', () => {
  let token = ''
  beforeAll(async () => {
    token = await newSession('refused')
  })
  const x5c = new Map([['x5c', [randomBytes(500)]]])
  const deep = cbor(new Map([['fmt', 'none']])).subarray(0, 1)
  it.each<[string, Twist, RegExp]>([
    ['of another origin', { origin: 'https://evil.example' }, /another origin/],
    ['for another relying party', { rpId: 'evil.example' }, /another relying party/],
    ['of another ceremony', { type: 'webauthn.get' }, /another ceremony/],
    ['of a page within another page', { crossOrigin: true }, /within another page/],
    ['without a verified user', { flags: 0x41 }, /did not verify its user/],
    ['without a credential', { flags: 0x05 }, /malformed/],
    ['with a challenge of its own', { challenge: randomBytes(32).toString('base64url') }, /not of this session/],
    ['with certificates', { fmt: 'packed', attStmt: x5c }, /not requested/],
    ['of another format', { fmt: 'tpm' }, /not requested/],
    ['as random bytes', { attestationObject: randomBytes(400) }, /malformed/],
    ['as half a map', { attestationObject: deep }, /malformed/],
    ['as nested arrays', { attestationObject: Buffer.alloc(6000, 0x81) }, /malformed/],
    ['as a map of a huge length', { attestationObject: Buffer.from('bb7fffffffffffffff', 'hex') }, /malformed/],
  ])('%s', async (_, twist, detail) => {
    const answer = await confirm(ask, token, fake().create(await enrolmentOf(ask, token), twist))
    expect(fault(answer)).toBe('422 impossible /credential')
    expect(answer.text).toMatch(detail)
    expect(await rowsOf('refused')).toEqual([])
  })

  it('with a key of an algorithm that was not requested', async () => {
    const answer = await confirm(ask, token, fake('ES384').create(await enrolmentOf(ask, token)))
    expect(fault(answer)).toBe('422 impossible /credential')
  })

  it('under another id, and as another size', async () => {
    const response = fake().create(await enrolmentOf(ask, token))
    const renamed = { ...response, id: randomBytes(32).toString('base64url') }
    expect(fault(await confirm(ask, token, renamed))).toBe('422 impossible /credential')
    expect(await rowsOf('refused')).toEqual([])
    const large = { ...response, attestationObject: 'A'.repeat(1_000_000) }
    expect(fault(await confirm(ask, token, large))).toBe('413 too_large')
    expect(fault(await confirm(ask, token, response, 'two\nlines'))).toBe('400 invalid_request /label')
  })

  it('where another operator has the passkey', async () => {
    const { authenticator } = await withPasskey(purser, ask, 'owner')
    const response = authenticator.create(await enrolmentOf(ask, token))
    expect(fault(await confirm(ask, token, response))).toBe('409 already_exists')
  })
})

describe('a removed passkey', () => {
  it('logs in no longer, and the sessions elsewhere end', async () => {
    const ada = await withPasskey(purser, ask, 'removes')
    const elsewhere = String((await passkeyLogin(purser, ada.authenticator)).body['token'])
    const remove = (id: string, token: string) => ask('removePasskey', { name: 'self', token, body: { id } })
    const other = await withPasskey(purser, ask, 'removes-not')
    expect(fault(await remove(other.passkey, ada.token))).toBe('404 not_found')
    const removed = await remove(ada.passkey, ada.token)
    expect(removed.status).toBe(204)
    expect(await entryFor(purser, removed)).toMatchObject({ detail: { step: 'passkey-removed', passkey: ada.passkey } })
    expect(await loginOf(ada)).toBe('401 unauthenticated')
    expect(fault(await ask('whoAmI', { token: elsewhere }))).toBe('401 unauthenticated')
    expect((await ask('whoAmI', { token: ada.token })).status).toBe(200)
    expect((await ask('getOperator', { name: 'removes' })).body).not.toHaveProperty('passkeys')
    expect(await loginOf(other)).toBe('201 ')
  })

  it('is removed by an admin too, and by no other operator', async () => {
    const owner = await withPasskey(purser, ask, 'lost')
    const other = await withPasskey(purser, ask, 'nosy')
    const remove = (token?: string) =>
      ask('removePasskey', { name: 'lost', body: { id: owner.passkey }, ...(token !== undefined && { token }) })
    expect(fault(await remove(other.token))).toBe('403 forbidden')
    expect(fault(await ask('listPasskeys', { name: 'lost', token: other.token }))).toBe('403 forbidden')
    expect((await remove()).status).toBe(204)
    expect(fault(await ask('whoAmI', { token: owner.token }))).toBe('401 unauthenticated')
    expect(await loginOf(owner)).toBe('401 unauthenticated')
  })
})

describe('passkeys end', () => {
  it('while the operator is disabled', async () => {
    const ada = await withPasskey(purser, ask, 'paused')
    await ask('disableOperator', { name: 'paused' })
    expect(await loginOf(ada)).toBe('401 unauthenticated')
    await ask('enableOperator', { name: 'paused' })
    expect(await loginOf(ada)).toBe('201 ')
  })

  it('when an admin sets another password, and not when the operator does', async () => {
    const ada = await withPasskey(purser, ask, 'own-change')
    const change = { password: 'eight swans on the lake', currentPassword: password }
    const own = await ask('setOperatorPassword', { name: 'self', token: ada.token, body: change })
    expect(own.body).toMatchObject({ passkeys: 1 })
    expect(await loginOf(ada)).toBe('201 ')
    const set = await ask('setOperatorPassword', { name: 'own-change', body: { password } })
    expect(set.body).not.toHaveProperty('passkeys')
    expect(await entryFor(purser, set)).toMatchObject({ detail: { removedPasskeys: 1 } })
    expect(await loginOf(ada)).toBe('401 unauthenticated')
  })

  it('with a containment of the operator, also for a later password', async () => {
    const ada = await withPasskey(purser, ask, 'contained')
    await ask('createToken', { body: { operator: 'contained' } })
    const contained = await ask('createContainment', { body: { match: { operator: 'contained' } }, reason: 'a leak' })
    expect(contained.status, contained.text).toBe(201)
    expect(await loginOf(ada)).toBe('401 unauthenticated')
    await ask('setOperatorPassword', { name: 'contained', body: { password } })
    expect(await loginOf(ada)).toBe('401 unauthenticated')
    expect(await rowsOf('contained')).toEqual([])
  })

  it('with the operator, also for a later one of the name', async () => {
    const ada = await withPasskey(purser, ask, 'leaves')
    const { body } = await ask('getOperator', { name: 'leaves' })
    const removed = await ask('deleteOperator', { name: 'leaves', ifMatch: Number(body['revision']) })
    expect(removed.status).toBe(204)
    await accountWithPassword(ask, 'leaves', 'admin')
    expect(await loginOf(ada)).toBe('401 unauthenticated')
  })
})
