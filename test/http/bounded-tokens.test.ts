/** A bounded admin manages tokens and operators of a team; a token that is narrower than its operator. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { account, entryFor, stored, tokenFor } from '../support/accounts.ts'
import { type Ask, createAsk, fault } from '../support/operator.ts'
import { type TestPurser, startPurser } from '../support/purser.ts'
import { boundOfShop, operatorOfShop } from '../support/shop.ts'
import { frontDoorStores } from '../support/stores.ts'

const bound = boundOfShop('lab')

describe.each(frontDoorStores)('an admin with a bound (%s)', (store) => {
  let purser: TestPurser
  let ask: Ask
  let lead: string
  beforeAll(async () => {
    purser = await startPurser({ store })
    ask = createAsk(purser)
    lead = (await operatorOfShop(ask, 'shop-lead', 'admin')).token
    await operatorOfShop(ask, 'shop-ada', 'operator')
  })
  afterAll(() => purser.stop())

  it('replaces a token of the team that has no bound of its own: the new one has that of the team', async () => {
    const { id } = await tokenFor(ask, 'shop-ada')
    const replaced = await ask('replaceToken', { name: id, token: lead })
    expect(fault(replaced)).toBe('201 ')
    expect(replaced.body).toMatchObject({ operator: 'shop-ada', role: 'operator', bound })
    expect(await entryFor(purser, replaced)).toMatchObject({ detail: { revokedTokenId: id } })
    // The lead knows the new token. It keeps its bound when the operator gets a wider one.
    const body = { name: 'shop-ada', role: 'operator', bound: 'everything' }
    expect(fault(await ask('replaceOperator', { name: 'shop-ada', body, ifMatch: 1 }))).toBe('200 ')
    const whoAmI = async () => (await ask('whoAmI', { token: String(replaced.body.token) })).body
    expect(await whoAmI()).toMatchObject({ bound })
    const narrow = { ...body, bound }
    expect(fault(await ask('replaceOperator', { name: 'shop-ada', body: narrow, ifMatch: 2 }))).toBe('200 ')
  })

  it('replaces no token beyond its bound', async () => {
    const other = await account(ask, 'wide', 'operator')
    for (const id of [other.id, 'tok_00000000000000000000000000000000'])
      expect(fault(await ask('replaceToken', { name: id, token: lead }))).toBe('404 not_found')
  })

  it.each(['disable', 'replace', 'delete'] as const)(
    'does not %s its own operator where that is wider than its token',
    async (verb) => {
      const { token } = await tokenFor(ask, 'admin', { bound })
      const before = await stored(purser)
      const replacement = { name: 'admin', role: 'auditor', bound }
      const answer = await {
        disable: () => ask('disableOperator', { name: 'admin', token }),
        replace: () => ask('replaceOperator', { name: 'admin', body: replacement, ifMatch: 1, token }),
        delete: () => ask('deleteOperator', { name: 'admin', ifMatch: 1, token }),
      }[verb]()
      expect(fault(answer)).toBe('403 forbidden /path/name')
      expect(await entryFor(purser, answer)).toMatchObject({ outcome: 'refused', reason: 'forbidden' })
      expect(await stored(purser)).toEqual(before)
      expect(fault(await ask('getOperator', { name: 'admin', token }))).toBe('200 ')
    },
  )

  it('contains no operator that is wider than its token', async () => {
    const wide = await account(ask, 'wider', 'admin')
    const { token } = await tokenFor(ask, 'wider', { bound }, wide.token)
    const before = await stored(purser)
    const body = { match: { operator: 'wider' } }
    expect(fault(await ask('createContainment', { body, token, reason: 'a leak' }))).toBe('404 not_found')
    expect(await stored(purser)).toEqual(before)
    const all = await ask('createContainment', { body, reason: 'a leak' })
    expect(fault(all)).toBe('201 ')
    expect(fault(await ask('getContainment', { name: String(all.body.id), token: lead }))).toBe('404 not_found')
  })
})
