/** Contains a leaked API token: with the tokens that it created, what they read, and what they changed. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type Token, account, tokenFor } from '../support/accounts.ts'
import { createClock } from '../support/clock.ts'
import { createContain } from '../support/contain.ts'
import { accountWithPassword, logIn, password, sessionOf } from '../support/logins.ts'
import { type Ask, createAsk, fault } from '../support/operator.ts'
import { type TestPurser, startPurser } from '../support/purser.ts'

const clock = createClock()
const rotator = { kind: 'generated', fields: { password: { length: 32, alphabet: 'alphanumeric' } } }
let purser: TestPurser
let ask: Ask
let tools: ReturnType<typeof createContain>
beforeAll(async () => {
  purser = await startPurser({ now: clock.now })
  ask = createAsk(purser)
  tools = createContain(purser, ask, clock)
  for (const path of ['prod/db', 'prod/license', 'prod/other'])
    await ask('putSecret', { name: path, body: { data: { password: 'first' } }, ifMatch: 0 })
  await ask('putRotationPolicy', { name: 'prod/db', body: { rotator }, ifMatch: 0 })
})
afterAll(() => purser.stop())

const reveal = async (path: string, { token }: Token): Promise<void> => {
  const headers = { 'purser-reason': 'look' }
  expect((await purser.call('GET', `/api/v1/secrets/${path}`, undefined, { token, headers })).status).toBe(200)
}
const works = async ({ token }: Token): Promise<boolean> => (await ask('whoAmI', { token })).status === 200

it('revokes it and those that it created, rotates what they read, and names what they changed', async () => {
  const stolen = await account(ask, 'mallory', 'admin')
  const child = await tokenFor(ask, 'mallory', {}, stolen.token)
  const grandchild = await tokenFor(ask, 'mallory', {}, child.token)
  await reveal('prod/db', grandchild)
  await reveal('prod/license', stolen)
  await ask('createAttestor', {
    token: child.token,
    body: { name: 'mine', kind: 'oidc', issuer: 'https://evil.example', audience: 'x', keys: { jwks: { keys: [] } } },
  })
  const dryRun = await tools.attempt({ match: { tokenId: stolen.id }, dryRun: true })
  expect(dryRun.body).toMatchObject({ revoked: { apiTokens: 3 } })
  expect(await works(child)).toBe(true)

  const { id, blocks } = await tools.contain({ tokenId: stolen.id })
  expect(blocks).toBeUndefined()
  expect([await works(stolen), await works(child), await works(grandchild)]).toEqual([false, false, false])
  const containment = await tools.settled(id)
  expect(containment).toMatchObject({ revoked: { apiTokens: 3 }, rotating: [{ path: 'prod/db', state: 'retired' }] })
  expect(containment.needsHands).toEqual(dryRun.body.needsHands)
  expect(containment.needsHands.map(({ kind, name }) => `${kind} ${name}`)).toContain('secret prod/license')
  expect(containment.needsHands.map(({ kind, name }) => `${kind} ${name}`)).toContain('change api-token/mallory')
  expect(containment.needsHands.some(({ name }) => name === 'prod/other')).toBe(false)
  expect(fault(await tools.release(id))).toBe('404 not_found')
})

it('takes every token of an operator, and spares that of the operator who contains', async () => {
  const first = await account(ask, 'trent', 'admin')
  const second = await tokenFor(ask, 'trent', {}, first.token)
  const eve = await account(ask, 'eve', 'operator')
  const own = await tokenFor(ask, 'eve', {}, first.token)
  const body = { match: { operator: 'trent' } }
  const { status, body: contained } = await tools.attempt(body, { token: own.token })
  expect(status).toBe(201)
  expect((await tools.settled(String(contained.id))).revoked['apiTokens']).toBe(2)
  expect([await works(first), await works(second), await works(eve), await works(own)]).toEqual([
    false,
    false,
    true,
    true,
  ])
})

it('leaves the last admin', async () => {
  expect(fault(await tools.attempt({ match: { operator: 'admin' } }))).toBe('409 conflict')
})

it('disables a contained operator and removes its password, so that its holder cannot log in again', async () => {
  await accountWithPassword(ask, 'peggy', 'operator')
  const token = await sessionOf(purser, 'peggy')
  await tools.contain({ operator: 'peggy' })
  expect(fault(await ask('whoAmI', { token }))).toBe('401 unauthenticated')
  expect((await ask('getOperator', { name: 'peggy' })).body).toMatchObject({ disabled: true })
  await ask('enableOperator', { name: 'peggy' })
  expect(fault(await logIn(purser, { operator: 'peggy', password }))).toBe('401 unauthenticated')
  await ask('setOperatorPassword', { name: 'peggy', body: { password } })
  expect((await logIn(purser, { operator: 'peggy', password })).status).toBe(201)
})
