/** Input that two readers could read differently is refused, and so is a foreign cursor. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ageEntries } from '../support/age-entries.ts'
import { createIssuer, registerLab } from '../support/issuer.ts'
import { type TestPurser, startPurser } from '../support/purser.ts'

let purser: TestPurser
const admin = (method: string, path: string, raw?: string) =>
  purser.call(method, path, undefined, { token: purser.admin, ...(raw !== undefined && { raw }) })
type Entries = { items: { index: number; entry: { actor: object; action: string } }[]; nextCursor: string | null }
const entries = async (query: string) =>
  (await purser.asAdmin('GET', `/api/v1/audit/entries?${query}`)).body as unknown as Entries

beforeAll(async () => {
  purser = await startPurser()
  await registerLab(purser, await createIssuer())
  for (const path of ['prod/api', 'prod/db', 'prod/web'])
    await purser.asAdmin('PUT', `/api/v1/secrets/${path}`, { data: { n: 1 } }, { 'if-match': '"0"' })
})
afterAll(() => purser.stop())

describe('a prefix of secret paths', () => {
  it.each(['..%2f', '..', '.', './', 'a/../b', 'a/.', 'a//b', '//', '/', '%2fa', '%61', 'a%2E', 'A', 'a%00'])(
    'is refused as %s',
    async (prefix) => {
      const list = await admin('GET', `/api/v1/secrets?prefix=${prefix}`)
      expect([list.status, list.body.code]).toEqual([400, 'invalid_request'])
    },
  )

  it.each(['', 'prod', 'prod/', 'prod%2f', 'prod%2Fweb', '.env', 'a..b/', 'a.'])(
    'is accepted as %s',
    async (prefix) => {
      expect((await admin('GET', `/api/v1/secrets?prefix=${prefix}`)).status).toBe(200)
    },
  )
})

describe('a number', () => {
  const destroy = (number: string) =>
    admin('POST', '/api/v1/secrets/prod/db:destroy', `{"versions":[${number}]}`).then(({ status, body }) => [
      status,
      body.code,
    ])

  it.each(['4.0000000000000001', '1.00000000000000001', '0.99999999999999999', '1e-400', '1.7976931348623159e308'])(
    'that a double changes is refused: %s',
    async (number) => {
      expect(await destroy(number)).toEqual([400, 'invalid_json'])
    },
  )
})

it('a problem has at most 20 errors', async () => {
  const unknown = Array.from({ length: 40 }, (_, n) => `x${n}=1`).join('&')
  const twice = 'limit=1&limit=2&cursor=a&cursor=b&prefix=a&prefix=b'
  const { status, body } = await admin('GET', `/api/v1/secrets?${twice}&${unknown}`)
  expect([status, (body['errors'] as object[]).length]).toEqual([400, 20])
})

describe('a cursor', () => {
  it('is refused on another route, and with another filter', async () => {
    const { body } = await purser.asAdmin('GET', '/api/v1/secrets?limit=1')
    const { nextCursor } = body as { nextCursor: string }
    expect((await admin('GET', `/api/v1/secrets?limit=1&cursor=${nextCursor}`)).status).toBe(200)
    for (const path of ['/api/v1/workloads?', '/api/v1/secrets?prefix=prod&', '/api/v1/audit/entries?']) {
      expect((await admin('GET', `${path}cursor=${nextCursor}`)).body.code).toBe('bad_cursor')
    }
  })
})

describe('the audit search', () => {
  it('refuses an unknown action, and names the nearest one', async () => {
    const answer = await admin('GET', '/api/v1/audit/entries?action=secret.reed')
    expect([answer.status, answer.body.code]).toEqual([422, 'impossible'])
    expect(JSON.stringify(answer.body['errors'])).toContain('did you mean secret.read?')
    expect((await admin('GET', '/api/v1/audit/entries?action=to.string')).status).toBe(422)
  })

  it('finds an operator by name and by its form in the history of a secret', async () => {
    const [plain, prefixed] = [
      await entries('actor=admin&action=secret.put'),
      await entries('actor=operator:admin&action=secret.put'),
    ]
    expect(plain.items).toHaveLength(3)
    expect(prefixed.items).toEqual(plain.items)
  })

  it('finds the refusal of a known token under its operator', async () => {
    const { status, headers } = await admin('GET', '/api/v1/audit/entries?since=1h')
    expect(status).toBe(400)
    const { items } = await entries(`requestId=${headers.get('purser-request-id')}`)
    expect(items).toMatchObject([{ entry: { actor: { kind: 'operator', operator: 'admin' }, outcome: 'refused' } }])
    const unknown = await purser.call('GET', '/api/v1/audit/entries?since=1h', undefined, { token: `${purser.admin}x` })
    const stranger = await entries(`requestId=${unknown.headers.get('purser-request-id')}`)
    expect(stranger.items).toMatchObject([{ entry: { actor: { kind: 'anonymous' } } }])
  })
})

it('an export begins with the first entry of its time, not minutes before it', async () => {
  await ageEntries(purser.knex, 2)
  await purser.asAdmin('PUT', '/api/v1/secrets/prod/last', { data: { n: 1 } }, { 'if-match': '"0"' })
  const { items } = await entries('action=secret.put')
  await purser.knex.transaction(async (tx) => {
    await tx.raw('set local session_replication_role = replica')
    await tx.raw(`update log_entry set at = now() - interval '2 minutes' where idx < ?`, [items[0]?.index ?? 0])
  })
  const since = new Date(Date.now() - 60_000).toISOString().replace(/\.\d+Z$/, 'Z')
  const header = async (query: string): Promise<{ from: number; to: number }> =>
    JSON.parse((await purser.asAdmin('GET', `/api/v1/audit/export?${query}`)).text.split('\n')[0] ?? '')
  expect((await header(`since=${since}`)).from).toBe(items[0]?.index)
  expect(await header(`until=${since}`)).toMatchObject({ from: 0, to: items[0]?.index })
})
