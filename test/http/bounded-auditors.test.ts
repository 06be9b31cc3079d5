/** The log entries that an auditor of one team finds: the acts of the team, and acts of others on its objects. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { account, tokenFor } from '../support/accounts.ts'
import { ageEntries } from '../support/age-entries.ts'
import { createIssuer, registerLab } from '../support/issuer.ts'
import { type Ask, createAsk, fault } from '../support/operator.ts'
import { type Answer, type TestPurser, startPurser } from '../support/purser.ts'
import { boundOfShop, operatorOfShop } from '../support/shop.ts'
import { frontDoorStores } from '../support/stores.ts'

type Item = { index: number; entry?: { action: string; requestId: string } }

describe.each(frontDoorStores)('an auditor with a bound (%s)', (store) => {
  let purser: TestPurser
  let ask: Ask
  let auditor: string
  let ahead = 0
  beforeAll(async () => {
    purser = await startPurser({ store, now: () => new Date(Date.now() + ahead) })
    ask = createAsk(purser)
    await registerLab(purser, await createIssuer())
    auditor = (await operatorOfShop(ask, 'shop-audit', 'auditor')).token
  })
  afterAll(() => purser.stop())

  const search = async (token: string, query: Record<string, string> = {}) => {
    const answer = await ask('searchEntries', { query: { order: 'asc', limit: '200', ...query }, token })
    expect(answer.status, answer.text).toBe(200)
    return answer.body as unknown as { items: Item[]; redacted: number }
  }
  const requestOf = ({ headers }: Answer): string => String(headers.get('purser-request-id'))
  /** Whether a search and a read of the entry itself find it. */
  async function finds(token: string, answer: Answer): Promise<boolean> {
    const { items } = await search(token, { requestId: requestOf(answer) })
    const index = answer.headers.get('purser-log-index') ?? ''
    const read = await purser.call('GET', `/api/v1/audit/entries/${index}`, undefined, { token })
    expect(read.status).toBe(items.length > 0 ? 200 : 404)
    return items.length > 0
  }
  const entryAt = (name: string, path: string) => ({
    name,
    attestor: 'lab',
    match: { 'oidc:sub': name },
    spiffeId: `spiffe://example.org/lab/${path}`,
  })

  it('finds changes of an entry while it belonged to the team, and none from before or after', async () => {
    const created = await ask('createWorkload', { body: entryAt('shop-moved', 'payroll/moved') })
    const disabled = await ask('disableWorkload', { name: 'shop-moved' })
    const disabling = await ask('disableWorkload', { name: 'shop-moved' })
    const within = entryAt('shop-moved', 'shop/moved')
    const replacement = await ask('replaceWorkload', { name: 'shop-moved', body: within, ifMatch: 2 })
    expect(await finds(auditor, replacement)).toBe(true)
    for (const answer of [created, disabled, disabling]) expect(await finds(auditor, answer)).toBe(false)
    const enabled = await ask('enableWorkload', { name: 'shop-moved' })
    const outside = entryAt('shop-moved', 'payroll/moved')
    const back = await ask('replaceWorkload', { name: 'shop-moved', body: outside, ifMatch: 4 })
    expect(await finds(auditor, enabled)).toBe(true)
    expect(await finds(auditor, back)).toBe(false)
  })

  it('finds acts of others on a secret of the team, and no other acts of theirs', async () => {
    const own = await ask('putSecret', { name: 'prod/shop/a', body: { data: { value: 'a' } }, ifMatch: 0 })
    const other = await ask('putSecret', { name: 'prod/shopping/a', body: { data: { value: 'a' } }, ifMatch: 0 })
    expect(await finds(auditor, own)).toBe(true)
    expect(await finds(auditor, other)).toBe(false)
  })

  it('finds nothing of an earlier operator with the name of a team member, nor its tokens', async () => {
    const { token, id } = await account(ask, 'cid', 'operator')
    const before = await ask('listWorkloads', { token })
    expect(fault(await ask('deleteOperator', { name: 'cid', ifMatch: 1 }))).toBe('204 ')
    const body = { name: 'cid', role: 'operator', bound: boundOfShop('lab') }
    expect(fault(await ask('createOperator', { body }))).toBe('201 ')
    const { token: next, id: nextId } = await tokenFor(ask, 'cid')
    const after = await ask('listWorkloads', { token: next })
    expect(await finds(auditor, before)).toBe(false)
    expect(await finds(auditor, after)).toBe(true)
    const tokens = (await ask('listTokens', { token: auditor })).body.items as { id: string }[]
    expect(tokens.map((row) => row.id)).toContain(nextId)
    expect(tokens.map((row) => row.id)).not.toContain(id)
  })

  it('finds no acts of wider tokens of the same operator', async () => {
    const wide = await account(ask, 'wide', 'admin')
    const narrow = await tokenFor(ask, 'wide', { bound: boundOfShop('lab') }, wide.token)
    const widely = await ask('listWorkloads', { token: wide.token })
    const narrowly = await ask('listWorkloads', { token: narrow.token })
    for (const token of [narrow.token, auditor]) {
      expect(await finds(token, widely)).toBe(false)
      expect(await finds(token, narrowly)).toBe(true)
    }
    expect(await finds(wide.token, widely)).toBe(true)
  })

  it('learns nothing of redacted entries, which no longer name their team', async () => {
    const own = await ask('listWorkloads', { token: auditor })
    const [epoch, index] = String(own.headers.get('purser-log-index')).split('/').map(Number) as [number, number]
    ahead = 2 * 3600_000
    await ageEntries(purser.knex, 31)
    const range = { epoch, from: index, to: index + 1 }
    expect(fault(await ask('redactEntries', { body: { ...range, rule: 'a month' }, reason: 'retention' }))).toBe('200 ')
    const page = await search(auditor)
    expect(page.redacted).toBe(0)
    expect(page.items.map((item) => item.index)).not.toContain(index)
    expect(await finds(auditor, own)).toBe(false)
    const all = await search(purser.admin)
    expect(all.redacted).toBe(1)
    expect(all.items).toContainEqual(expect.objectContaining({ index, redacted: true }))
  })
})
