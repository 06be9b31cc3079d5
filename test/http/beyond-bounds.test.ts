/** An admin may grant a team's workload more than the team's bound. Operators of the team cannot use it. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { entryFor } from '../support/accounts.ts'
import { type Ask, createAsk, fault } from '../support/operator.ts'
import { type TestPurser, startPurser } from '../support/purser.ts'
import { operatorOfShop } from '../support/shop.ts'
import { frontDoorStores } from '../support/stores.ts'

const entry = (name: string, more: object) => ({
  name: `shop-${name}`,
  attestor: 'join',
  spiffeId: `spiffe://example.org/join/shop/${name}`,
  ...more,
})
const beyond = {
  secret: { grants: { secrets: [{ paths: ['prod/shop/**', 'prod/shared/key'], actions: ['read'] }] } },
  audience: { grants: { jwt: { audiences: ['payments', 'cloud'] } } },
  name: { grants: { x509: { dnsNames: ['web.corp'] } } },
  database: { grants: { databases: ['payroll'] } },
  operator: { grants: { operator: { role: 'operator', bound: 'everything' } } },
}
const names = Object.keys(beyond)

describe.each(frontDoorStores)('an entry that grants beyond the bound of its team (%s)', (store) => {
  let purser: TestPurser
  let ask: Ask
  let token: string
  beforeAll(async () => {
    purser = await startPurser({ store })
    ask = createAsk(purser)
    token = (await operatorOfShop(ask, 'shop-ada', 'operator', 'join')).token
    for (const [name, more] of [...Object.entries(beyond), ['plain', {}] as const])
      expect(fault(await ask('createWorkload', { body: entry(name, more) }))).toBe('201 ')
  })
  afterAll(() => purser.stop())

  it.each(names)('is opened by no join token of the team: by a %s', async (name) => {
    const answer = await ask('createJoinToken', { body: { workload: `shop-${name}` }, token })
    expect(fault(answer)).toBe('403 forbidden /workload')
    expect(await entryFor(purser, answer)).toMatchObject({ outcome: 'refused', reason: 'forbidden' })
    expect(await purser.knex('join_token').count({ n: '*' })).toEqual([{ n: '0' }])
  })

  it.each(names)('stays disabled for the team: with a %s', async (name) => {
    expect(fault(await ask('disableWorkload', { name: `shop-${name}`, token }))).toBe('200 ')
    const answer = await ask('enableWorkload', { name: `shop-${name}`, token })
    expect(fault(answer)).toBe('403 forbidden /path/name')
    expect(await entryFor(purser, answer)).toMatchObject({ outcome: 'refused', reason: 'forbidden' })
    expect((await ask('getWorkload', { name: `shop-${name}`, token })).body).toMatchObject({ disabled: true })
    expect(fault(await ask('enableWorkload', { name: `shop-${name}` }))).toBe('200 ')
    expect(fault(await ask('enableWorkload', { name: `shop-${name}`, token }))).toBe('200 ')
  })

  it('leaves the entries of others to the team', async () => {
    expect(fault(await ask('disableWorkload', { name: 'shop-plain', token }))).toBe('200 ')
    expect(fault(await ask('enableWorkload', { name: 'shop-plain', token }))).toBe('200 ')
    expect(fault(await ask('createJoinToken', { body: { workload: 'shop-plain' }, token }))).toBe('201 ')
    expect(fault(await ask('createJoinToken', { body: { workload: 'shop-secret' } }))).toBe('201 ')
  })
})
