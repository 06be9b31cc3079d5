/** Logins of operators at a real OpenID provider: valid ones, and every token that must be refused. */
import { createHash, createHmac, randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { Writable } from 'node:stream'
import { createClient } from '../../src/cli/oidc/client.ts'
import { logInByDevice } from '../../src/cli/oidc/device.ts'
import { account, entryFor, stored } from '../support/accounts.ts'
import { type LoginProvider, startLoginProvider } from '../support/login-provider.ts'
import { type Ask, createAsk, fault } from '../support/operator.ts'
import { type Answer, type TestPurser, startPurser, startReplica } from '../support/purser.ts'

let provider: LoginProvider
let other: LoginProvider
let purser: TestPurser
let ask: Ask

const settings = (roles: string) => ({
  PURSER_FETCH_ALLOW: provider.issuer,
  PURSER_OPERATOR_LOGIN_ISSUER: provider.issuer,
  PURSER_OPERATOR_LOGIN_CLIENT_ID: 'purser-cli',
  PURSER_OPERATOR_LOGIN_SCOPES: 'openid,profile,groups',
  PURSER_OPERATOR_LOGIN_ROLES: roles,
  PURSER_OPERATOR_LOGIN_CA_PEM: provider.caPem,
})

beforeAll(async () => {
  const groups = {
    ada: ['operators'],
    'ada@elsewhere': ['operators'],
    bob: ['operators'],
    cleo: ['admins'],
    dan: ['operators'],
  }
  ;[provider, other] = await Promise.all([
    startLoginProvider({ groups, deviceNonce: true }),
    startLoginProvider({ groups, deviceNonce: true }),
  ])
  purser = await startPurser({ store: 'postgres', env: settings('admin:groups=admins,operator:groups=operators') })
  ask = createAsk(purser)
  for (const [name, role] of [
    ['ada', 'admin'],
    ['cleo', 'auditor'],
    ['dan', 'operator'],
    ['eve', 'operator'],
  ] as const)
    await account(ask, name, role)
  await ask('disableOperator', { name: 'dan' })
}, 60_000)
afterAll(async () => {
  provider.stop()
  other.stop()
  await purser.stop()
})

async function newNonce(): Promise<{ nonce: string; verifier: string }> {
  const verifier = randomBytes(32).toString('base64url')
  const challenge = createHash('sha256').update(verifier).digest('base64url')
  const { body } = await ask('issueLoginNonce', { body: { challenge }, token: '' })
  return { nonce: String(body['nonce']), verifier }
}

/** The ID token of a person's login. */
async function idTokenOf(person: string, nonce: string, clientId = 'purser-cli', at = provider): Promise<string> {
  const { issuer, caPem } = at
  const client = await createClient({ issuer, caPem, clientId, scopes: ['openid', 'profile', 'groups'] })
  let err = ''
  const stderr = new Writable({ write: (chunk: Buffer, _, done) => ((err += chunk.toString()), done()) })
  const token = logInByDevice({ stderr }, { client, nonce, signal: AbortSignal.timeout(20_000) })
  const link = await vi.waitFor(
    () => /open (https:\S+user_code=\S+)/.exec(err)?.[1] ?? Promise.reject(new Error(err)),
    10_000,
  )
  await at.visit(link, person)
  return token
}

const present = (idToken: string, verifier: string, at: TestPurser = purser): Promise<Answer> =>
  at.call('POST', '/api/v1/sessions:oidc', { idToken, verifier })

async function logIn(person: string): Promise<Answer> {
  const { nonce, verifier } = await newNonce()
  return present(await idTokenOf(person, nonce), verifier)
}

/** The refusal has no detail, nothing changed, and the log has the reason. */
async function isRefused(attempt: () => Promise<Answer>, detail: object): Promise<void> {
  const before = await stored(purser)
  const answer = await attempt()
  expect(fault(answer)).toBe('401 unauthenticated')
  expect(await stored(purser)).toEqual(before)
  expect(await entryFor(purser, answer)).toMatchObject({ action: 'operator.login', outcome: 'refused', detail })
}

describe('a login', () => {
  it('gets the role of the mapping, limited by that of the operator', async () => {
    const answer = await logIn('ada')
    expect(answer.body).toMatchObject({ operator: 'ada', role: 'operator', login: true })
    const token = String(answer.body['token'])
    expect((await ask('whoAmI', { token })).body).toMatchObject({
      operator: 'ada',
      role: 'operator',
      operatorRole: 'admin',
    })
    expect(fault(await ask('listOperators', { token }))).toBe('403 forbidden')
    expect(await entryFor(purser, answer)).toMatchObject({
      outcome: 'granted',
      actor: { kind: 'operator', operator: 'ada' },
      detail: { subject: 'ada', mapping: `operator:groups=operators at ${provider.issuer}` },
    })
    const narrower = await logIn('cleo')
    expect(narrower.body).toMatchObject({ operator: 'cleo', role: 'auditor' })
  }, 20_000)

  it.each([
    ['without a mapped claim', 'eve', { cause: 'no claim is mapped to a role' }],
    ['without an operator', 'bob', { operator: 'bob', cause: 'no such operator' }],
    ['of a disabled operator', 'dan', { operator: 'dan', cause: 'disabled' }],
    [
      'by another person with the name',
      'ada@elsewhere',
      { operator: 'ada', cause: 'another person has this name now' },
    ],
    [
      'by a name that no operator has',
      'Ada Lovelace',
      { cause: 'the claim preferred_username is not the name of an operator' },
    ],
  ])(
    '%s is refused',
    async (_, person, detail) => {
      await isRefused(() => logIn(person), detail)
    },
    20_000,
  )
})

describe('an ID token is refused', () => {
  it('when it is presented again, and with another secret', async () => {
    const { nonce, verifier } = await newNonce()
    const token = await idTokenOf('ada', nonce)
    const foreign = await newNonce()
    await isRefused(() => present(token, foreign.verifier), { cause: 'the nonce is not of this login' })
    expect((await present(token, verifier)).status).toBe(201)
    await isRefused(() => present(token, verifier), { operator: 'ada', cause: 'the nonce was used before' })
  }, 20_000)

  it('with a nonce that this server did not issue', async () => {
    const { nonce, verifier } = await newNonce()
    const [challenge = '', until = '', mac = ''] = nonce.split('.')
    for (const forged of ['n-0S6_WzA2Mj', `${challenge}.${Number(until) + 600}.${mac}`]) {
      const token = await idTokenOf('ada', forged)
      await isRefused(() => present(token, verifier), { cause: 'the nonce is not of this login' })
    }
  }, 20_000)

  it('of another client, and of another issuer', async () => {
    const { nonce, verifier } = await newNonce()
    for (const token of [
      await idTokenOf('ada', nonce, 'another-app'),
      await idTokenOf('ada', nonce, 'purser-cli', other),
    ])
      await isRefused(() => present(token, verifier), { cause: 'proof_issuer' })
  }, 20_000)

  it('with an altered claim, without a signature, under a key of the caller, and as other text', async () => {
    const { nonce, verifier } = await newNonce()
    const [header = '', claims = '', signature = ''] = (await idTokenOf('eve', nonce)).split('.')
    const more = { ...JSON.parse(Buffer.from(claims, 'base64url').toString()), groups: ['admins'] }
    const altered = Buffer.from(JSON.stringify(more)).toString('base64url')
    const noneHeader = Buffer.from('{"alg":"none"}').toString('base64url')
    const macHeader = Buffer.from('{"alg":"HS256"}').toString('base64url')
    const mac = createHmac('sha256', provider.caPem).update(`${macHeader}.${altered}`).digest('base64url')
    await isRefused(() => present(`${header}.${altered}.${signature}`, verifier), { cause: 'proof_signature' })
    await isRefused(() => present(`${noneHeader}.${altered}.AA`, verifier), { cause: 'proof_algorithm' })
    await isRefused(() => present(`${macHeader}.${altered}.${mac}`, verifier), { cause: 'proof_algorithm' })
    await isRefused(() => present('no token', verifier), { cause: 'proof_malformed' })
  }, 20_000)

  it('as a proof of a workload, and as an API token', async () => {
    const { nonce } = await newNonce()
    const token = await idTokenOf('ada', nonce)
    const proof = { kind: 'jwt', token }
    expect(fault(await purser.call('POST', '/api/v1/credentials', { proof }))).toBe('401 attestation_failed')
    expect(fault(await ask('whoAmI', { token }))).toBe('401 unauthenticated')
  }, 20_000)
})

it('a session is refused by a server whose configuration lost its mapping', async () => {
  const token = String((await logIn('ada')).body['token'])
  for (const [roles, status] of [
    ['operator:groups=operators', 200],
    ['auditor:groups=operators', 401],
  ] as const) {
    const replica = await startReplica(purser, { env: settings(roles) })
    const answer = await replica.call('GET', '/api/v1/credentials/self', undefined, { token })
    expect([roles, answer.status]).toEqual([roles, status])
    await replica.stop()
  }
}, 40_000)

it('without a provider there is no nonce, and no login', async () => {
  const plain = await startPurser()
  const nonce = await plain.call('POST', '/api/v1/sessions:nonce', { challenge: 'A'.repeat(43) })
  expect(fault(nonce)).toBe('404 not_found')
  expect(fault(await present('a.b.c', 'A'.repeat(43), plain))).toBe('401 unauthenticated')
  expect((await plain.call('GET', '/api/v1/logins')).body).toEqual({ items: [] })
  await plain.stop()
}, 40_000)
