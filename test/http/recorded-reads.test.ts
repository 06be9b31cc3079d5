/**
 * Every read of an operator has an entry, and no read of a workload has one. A stolen API token cannot read
 * unrecorded.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Route } from '../../src/http/route-kinds.ts'
import { type Lab, createLab } from '../support/lab.ts'
import { entriesOf } from '../support/operator.ts'
import { type Answer, type TestPurser, startPurser } from '../support/purser.ts'
import { routes } from '../support/route-list.ts'

const rotation = { rotator: { kind: 'generated', fields: { value: { length: 32, alphabet: 'hex' } } } }

let purser: TestPurser
let lab: Lab

beforeAll(async () => {
  purser = await startPurser({ store: 'postgres' })
  lab = await createLab(purser)
  await purser.asAdmin('PUT', '/api/v1/secrets/lab/web/key', { data: { value: 'x' } }, { 'if-match': '"0"' })
  await purser.asAdmin('PUT', '/api/v1/secrets/lab/web/key:rotation', rotation, { 'if-match': '"0"' })
})
afterAll(() => purser.stop())

const names: Record<string, string> = { attestors: 'lab', workloads: 'web', operators: 'admin' }
const pathOf = (path: string): string =>
  path
    .replace('{path}', 'lab/web/key')
    .replace('approvals/{id}', `approvals/apr_${'0'.repeat(32)}`)
    .replace('{id}', `con_${'0'.repeat(32)}`)
    .replace(/(\w+)\/\{name\}/, (_, list: string) => `${list}/${names[list] ?? 'none'}`)
const reads = routes.filter((route) => route.kind === 'read' && route.action !== 'none' && route.permission !== 'self')
const nameOf = ({ method, path }: Route): string => `${method} ${path}`
const bodyOf = ({ path }: Route): unknown => (path.endsWith('/introspect') ? { token: purser.admin } : undefined)

const read = (route: Route, token: string): Promise<Answer> =>
  purser.call(route.method, pathOf(route.path), bodyOf(route), { token })
const entriesFor = ({ headers }: Answer) => entriesOf(purser, headers.get('purser-request-id') ?? '')

describe('a read of an operator', () => {
  it.each(reads.map((route) => [nameOf(route), route] as const))('has an entry: %s', async (_, route) => {
    const answer = await read(route, purser.admin)
    const outcome = answer.status === 200 ? 'granted' : 'refused'
    // Databases, containments and approvals are the only objects that this test does not register.
    expect(outcome).toBe(/(?:databases|containments|approvals)\/\{/.test(route.path) ? 'refused' : 'granted')
    const actor = { kind: 'operator', operator: 'admin' }
    expect(await entriesFor(answer)).toMatchObject([{ action: route.action, outcome, actor }])
  })

  it('names its object, or its filters and the number of its items, and no cursor', async () => {
    const listing = await purser.asAdmin('GET', '/api/v1/secrets/lab/web/key:versions')
    expect(await entriesFor(listing)).toMatchObject([{ resource: { kind: 'secret', name: 'lab/web/key' } }])
    const list = await purser.asAdmin('GET', '/api/v1/secrets?prefix=lab/&limit=1')
    const [entry] = await entriesFor(list)
    expect(entry).toMatchObject({ detail: { filters: { prefix: 'lab/' }, found: 1 } })
    expect(JSON.stringify(entry)).not.toMatch(/limit|cursor/)
  })

  it('is found by the path of its secret', async () => {
    const { body } = await purser.asAdmin('GET', '/api/v1/audit/entries?path=lab/web/key&action=secret.inspect')
    expect(body.items).toHaveLength(2)
  })

  it('leaves no token in the log', async () => {
    const credentials = await lab.get()
    const answer = await purser.asAdmin('POST', '/api/v1/introspect', { token: credentials.accessToken })
    expect(JSON.stringify(await entriesFor(answer))).not.toContain(credentials.accessToken)
  })
})

describe('a read of a workload', () => {
  it('has no entry of its own', async () => {
    const { accessToken } = await lab.get()
    const answer = await purser.call('GET', '/api/v1/credentials/self', undefined, { token: accessToken })
    expect(answer.status).toBe(200)
    expect(await entriesFor(answer)).toEqual([])
  })
})
