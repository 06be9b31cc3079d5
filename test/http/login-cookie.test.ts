/** The session cookie of a browser, and the requests that accept it. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { accountWithPassword, logIn, password } from '../support/logins.ts'
import { type Ask, createAsk, entriesOf, fault } from '../support/operator.ts'
import { type Answer, type TestPurser, startPurser } from '../support/purser.ts'

let purser: TestPurser
let ask: Ask
let cookie = ''
let own = ''
beforeAll(async () => {
  purser = await startPurser({ store: 'postgres', tls: true })
  ask = createAsk(purser)
  await accountWithPassword(ask, 'ada', 'admin')
  own = purser.url
  cookie = await newCookie()
})
afterAll(() => purser.stop())

async function newCookie(): Promise<string> {
  const { headers } = await logIn(purser, { operator: 'ada', password, cookie: true })
  return (headers.get('set-cookie') ?? '').split(';')[0] ?? ''
}

const get = (headers: Record<string, string>): Promise<Answer> =>
  purser.call('GET', '/api/v1/workloads', undefined, { headers: { cookie, ...headers } })

let names = 0
const create = (headers: Record<string, string>): Promise<Answer> =>
  purser.call(
    'POST',
    '/api/v1/operators',
    { name: `op-${names++}`, role: 'auditor' },
    { headers: { cookie, ...headers } },
  )

describe('the cookie', () => {
  it('is bound to the host, hidden from scripts, and not in the body', async () => {
    const answer = await logIn(purser, { operator: 'ada', password, cookie: true, lifetimeSeconds: 600 })
    expect(answer.headers.get('set-cookie')).toMatch(
      /^__Host-purser=purser_api_[\w-]{43}; Path=\/; Secure; HttpOnly; SameSite=Strict; Max-Age=600$/,
    )
    expect(answer.body).not.toHaveProperty('token')
    expect(answer.text).not.toContain('purser_api_')
    expect(answer.headers.get('cache-control')).toBe('no-store')
  })

  it('is new at each login, whatever cookie the browser sends', async () => {
    const answer = await logIn(purser, { operator: 'ada', password, cookie: true }, { headers: { cookie } })
    expect(answer.status).toBe(201)
    expect(answer.headers.get('set-cookie')).not.toContain(cookie)
  })

  it('is removed by a logout, which ends the session', async () => {
    const mine = await newCookie()
    const headers = { cookie: mine, 'purser-csrf': '1', 'sec-fetch-site': 'same-origin' }
    const answer = await purser.call('DELETE', '/api/v1/sessions/self', undefined, { headers })
    expect(answer.status).toBe(204)
    expect(answer.headers.get('set-cookie')).toMatch(/^__Host-purser=; .*Max-Age=0$/)
    expect(fault(await get({ cookie: mine }))).toBe('401 unauthenticated')
  })

  it.each([
    ['a page of this server', () => ({ 'sec-fetch-site': 'same-origin' }), '200 '],
    ['the address bar', () => ({ 'sec-fetch-site': 'none' }), '200 '],
    ['an old browser', () => ({}), '200 '],
    ['another site', () => ({ 'sec-fetch-site': 'cross-site' }), '403 forbidden'],
    ['another host of the site', () => ({ 'sec-fetch-site': 'same-site' }), '403 forbidden'],
    ['another origin', () => ({ origin: 'https://evil.example' }), '403 forbidden'],
    ['an opaque origin', () => ({ origin: 'null' }), '403 forbidden'],
  ])('allows reads for %s', async (_, headers, expected) => {
    expect(fault(await get(headers()))).toBe(expected)
  })

  const csrf = { 'purser-csrf': '1' }
  it.each([
    ['a page of this server', () => ({ ...csrf, 'sec-fetch-site': 'same-origin' }), '201 '],
    ['a page of this server, by its origin', () => ({ ...csrf, origin: own }), '201 '],
    ['both', () => ({ ...csrf, origin: own, 'sec-fetch-site': 'same-origin' }), '201 '],
    ['a form', () => ({ 'sec-fetch-site': 'same-origin' }), '403 forbidden'],
    [
      'a form of another site',
      () => ({ 'sec-fetch-site': 'cross-site', origin: 'https://evil.example' }),
      '403 forbidden',
    ],
    ['a page of another site', () => ({ ...csrf, 'sec-fetch-site': 'cross-site' }), '403 forbidden'],
    ['a page of another host of the site', () => ({ ...csrf, 'sec-fetch-site': 'same-site' }), '403 forbidden'],
    ['the address bar', () => ({ ...csrf, 'sec-fetch-site': 'none' }), '403 forbidden'],
    ['another origin', () => ({ ...csrf, origin: 'https://evil.example' }), '403 forbidden'],
    ['another port', () => ({ ...csrf, origin: 'https://127.0.0.1:1' }), '403 forbidden'],
    ['plain HTTP', () => ({ ...csrf, origin: own.replace('https', 'http') }), '403 forbidden'],
    ['an opaque origin', () => ({ ...csrf, origin: 'null', 'sec-fetch-site': 'same-origin' }), '403 forbidden'],
    ['an unknown caller', () => csrf, '403 forbidden'],
    ['another value', () => ({ 'purser-csrf': '0', 'sec-fetch-site': 'same-origin' }), '403 forbidden'],
  ])('allows changes for %s', async (_, headers, expected) => {
    const before = await purser.knex('operator').count()
    const answer = await create(headers())
    expect(fault(answer)).toBe(expected)
    if (answer.status === 201) return
    expect(await purser.knex('operator').count()).toEqual(before)
    expect(await entriesOf(purser, answer.headers.get('purser-request-id'))).toMatchObject([
      { outcome: 'refused', reason: 'forbidden', actor: { kind: 'operator', operator: 'ada' } },
    ])
  })

  it('is ignored beside an Authorization header', async () => {
    const bad = await get({ authorization: 'Bearer purser_api_x' })
    expect(fault(bad)).toBe('401 unauthenticated')
    const admin = await create({ authorization: `Bearer ${purser.admin}`, 'sec-fetch-site': 'cross-site' })
    expect(fault(admin)).toBe('201 ')
    const [entry] = await entriesOf(purser, admin.headers.get('purser-request-id'))
    expect(entry?.actor.operator).toBe('admin')
  })

  it.each([
    ['twice', () => `${cookie}; ${cookie}`, '400 bad_authorization'],
    ['under another name', () => cookie.replace('__Host-', ''), '401 unauthenticated'],
    ['in other letters', () => cookie.replace('__Host-', '__host-'), '401 unauthenticated'],
    ['cut', () => cookie.slice(0, -1), '401 unauthenticated'],
    ['empty', () => '__Host-purser=', '401 unauthenticated'],
    ['with a token of another kind', () => cookie.replace('_api_', '_at_'), '401 token_type'],
  ])('is refused when it is present %s', async (_, value, expected) => {
    expect(fault(await get({ cookie: value() }))).toBe(expected)
  })

  it('is read among other cookies', async () => {
    expect(fault(await get({ cookie: `a=b; ${cookie};c=d` }))).toBe('200 ')
  })

  it('is not set for a page of another origin', async () => {
    for (const headers of [{ origin: 'https://evil.example' }, { 'sec-fetch-site': 'cross-site' }]) {
      const answer = await logIn(purser, { operator: 'ada', password, cookie: true }, { headers })
      expect(fault(answer)).toBe('403 forbidden')
      expect(answer.headers.get('set-cookie')).toBeNull()
    }
  })

  it('is not accepted as a bootstrap token', async () => {
    const headers = { cookie, 'purser-csrf': '1', 'sec-fetch-site': 'same-origin' }
    expect(fault(await purser.call('POST', '/api/v1/bootstrap', undefined, { headers }))).toBe('401 unauthenticated')
  })
})
