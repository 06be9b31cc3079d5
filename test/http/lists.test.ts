import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createIssuer } from '../support/issuer.ts'
import { type Ask, createAsk, fault } from '../support/operator.ts'
import { type TestPurser, audience, startPurser } from '../support/purser.ts'

type Page = { items: { name: string }[]; nextCursor: string | null }

describe('lists', () => {
  let purser: TestPurser
  let ask: Ask
  const names = Array.from({ length: 25 }, (_, n) => `w${String(n).padStart(2, '0')}`)
  const page = async (query: Record<string, string>): Promise<Page> =>
    (await ask('listWorkloads', { query })).body as unknown as Page
  const all = async (query: Record<string, string>): Promise<string[]> => {
    const names: string[] = []
    for (let cursor: string | null = ''; cursor !== null;) {
      const { items, nextCursor }: Page = await page({ ...query, ...(cursor !== '' && { cursor }) })
      names.push(...items.map((item) => item.name))
      cursor = nextCursor
    }
    return names
  }

  beforeAll(async () => {
    purser = await startPurser()
    ask = createAsk(purser)
    const { jwk } = await createIssuer()
    for (const name of ['lab', 'two']) {
      const attestor = {
        name,
        kind: 'oidc',
        issuer: `https://${name}.example`,
        audience,
        keys: { jwks: { keys: [jwk] } },
      }
      expect(fault(await ask('createAttestor', { body: { ...attestor, managedBy: `git:${name}` } }))).toBe('201 ')
    }
    // Backwards, so that order of writing and order of names differ.
    for (const [n, name] of names.toReversed().entries()) {
      const attestor = n % 5 === 0 ? 'two' : 'lab'
      const spiffeId = `spiffe://example.org/${attestor}/${name}`
      const managedBy = n % 2 === 0 ? 'git:shop' : 'git:ops'
      const body = { name, attestor, match: { 'oidc:sub': name }, spiffeId, managedBy }
      expect(fault(await ask('createWorkload', { body }))).toBe('201 ')
    }
  })
  afterAll(() => purser.stop())

  it.each(['0', '-1', '201', '1e9', '10abc', '1e3', '0x10', ' 5', '', '5.0', '٥'])(
    'refuse the limit %j',
    async (limit) => {
      expect(fault(await ask('listWorkloads', { query: { limit } }))).toBe('400 invalid_request /query/limit')
    },
  )

  it('refuse a repeated limit, and unknown filters', async () => {
    const get = async (query: string) =>
      fault(await purser.call('GET', `/api/v1/workloads?${query}`, undefined, { token: purser.admin }))
    expect(await get('limit=1&limit=2')).toBe('400 invalid_request /query/limit')
    for (const name of ['sort', 'order', 'definition', 'password_hash', '__proto__', 'managedBy[]', 'offset']) {
      expect(await get(`${encodeURIComponent(name)}=x`)).toBe(`400 invalid_request /query/${name}`)
    }
    expect(await get('managedBy=git:shop&managedBy=git:ops')).toBe('400 invalid_request /query/managedBy')
  })

  it('show every row once, in pages of any size, ordered by name', async () => {
    for (const limit of ['1', '7', '25', '200']) expect(await all({ limit })).toEqual(names)
    expect((await page({})).items).toHaveLength(25)
    expect((await page({ limit: '25' })).nextCursor).toBeNull()
  })

  it('filter by attestor and managedBy, exactly', async () => {
    expect(await all({ attestor: 'two', limit: '2' })).toEqual(names.filter((_, n) => (24 - n) % 5 === 0))
    expect(await all({ managedBy: 'git:ops', limit: '4' })).toEqual(names.filter((_, n) => (24 - n) % 2 === 1))
    for (const managedBy of ['git:%', 'git:s_op', 'GIT:shop', 'git:shop/']) expect(await all({ managedBy })).toEqual([])
    expect(await all({ attestor: 'nobody' })).toEqual([])
    const attestors = (await ask('listAttestors', { query: { managedBy: 'git:two' } })).body as unknown as Page
    expect(attestors.items.map((item) => item.name)).toEqual(['two'])
  })

  it('continue after a row that was deleted meanwhile', async () => {
    const { items, nextCursor } = await page({ limit: '3' })
    await ask('deleteWorkload', { name: items[2]?.name ?? '', ifMatch: 1 })
    const next = await page({ limit: '3', cursor: nextCursor ?? '' })
    expect(next.items.map((item) => item.name)).toEqual(names.slice(3, 6))
  })

  it('refuse a cursor that was edited, or of another list or other filters', async () => {
    const { nextCursor } = await page({ limit: '3', managedBy: 'git:shop' })
    const cursor = nextCursor ?? ''
    const [after = '', mac = ''] = cursor.split('.')
    const edited = [Buffer.from('w24').toString('base64url'), mac].join('.')
    for (const query of [
      { cursor },
      { cursor, managedBy: 'git:ops' },
      { cursor, managedBy: 'git:shop', attestor: 'lab' },
      { cursor: edited, managedBy: 'git:shop' },
      { cursor: after, managedBy: 'git:shop' },
      { cursor: `${after}.${mac.slice(0, -1)}`, managedBy: 'git:shop' },
    ]) {
      expect(fault(await ask('listWorkloads', { query })), JSON.stringify(query)).toBe('400 bad_cursor')
    }
    expect(fault(await ask('listAttestors', { query: { cursor, managedBy: 'git:shop' } }))).toBe('400 bad_cursor')
    expect(fault(await ask('listTokens', { query: { cursor } }))).toBe('400 bad_cursor')
    expect(fault(await ask('listWorkloads', { query: { cursor, managedBy: 'git:shop', limit: '9' } }))).toBe('200 ')
  })
})
