/** A token for one route is refused at every other one. The routes come from the list, so a new one is included. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loadOpenApi } from '../../src/http/openapi.ts'
import type { Route } from '../../src/http/route-kinds.ts'
import { tokenFor } from '../support/accounts.ts'
import { createAsk, entriesOf } from '../support/operator.ts'
import { type Answer, type TestPurser, startPurser } from '../support/purser.ts'
import { routes } from '../support/route-list.ts'

let purser: TestPurser
let limited: Record<'workloads' | 'attestors', string>
beforeAll(async () => {
  purser = await startPurser({ store: 'postgres', env: { PURSER_LIMIT_ADDRESS_PER_SECOND: '1000000' } })
  const ask = createAsk(purser)
  limited = {
    workloads: (await tokenFor(ask, 'admin', { routes: ['GET /api/v1/workloads'] })).token,
    attestors: (await tokenFor(ask, 'admin', { routes: ['GET /api/v1/attestors'] })).token,
  }
})
afterAll(() => purser.stop())

const nameOf = ({ method, path }: Pick<Route, 'method' | 'path'>): string => `${method} ${path}`
const taking = routes.filter(({ permission }) => !['none', 'login', 'bootstrap'].includes(permission))
const examples: Record<string, string> = {
  '{kind}': 'jwt',
  '{epoch}': '1',
  '{index}': '0',
}

const idPrefixes: Record<string, string> = { leases: 'ls', containments: 'con', approvals: 'apr' }

/** A request that is well-formed: its body is an example of openapi.yaml. */
function send({ method, path }: Route, token: string): Promise<Answer> {
  const body = exampleOf(path, method)
  const search = path.endsWith('/consistency') ? '?from=1&to=1' : ''
  const filled = path
    .replace(/(\w+)\/\{id\}/, (_, list: string) => `${list}/${idPrefixes[list] ?? 'tok'}_${'0'.repeat(32)}`)
    .replaceAll(/\{\w+\}/g, (parameter) => examples[parameter] ?? 'web')
  return purser.call(method, filled + search, body, { token, headers: { 'if-match': '"1"' } })
}

type Node = Record<string, unknown>
const isNode = (value: unknown): value is Node => typeof value === 'object' && value !== null
const at = (value: unknown, ...keys: string[]): unknown =>
  keys.reduce<unknown>((node, key) => (isNode(node) ? resolved(node)[key] : undefined), value)

function resolved(node: Node): Node {
  const { $ref } = node
  if (typeof $ref !== 'string') return node
  const target = at(loadOpenApi().written, ...$ref.slice(2).split('/'))
  return isNode(target) ? target : {}
}

function exampleOf(path: string, method: string): unknown {
  const content = at(
    loadOpenApi().written,
    'paths',
    path,
    method.toLowerCase(),
    'requestBody',
    'content',
    'application/json',
  )
  const some = at(content, 'examples')
  return isNode(some) ? at(Object.values(some)[0], 'value') : undefined
}

describe('a token for one route', () => {
  it.each(taking.map((route) => [nameOf(route), route] as const))('is refused elsewhere: %s', async (name, route) => {
    const token = name === 'GET /api/v1/workloads' ? limited.attestors : limited.workloads
    const answer = await send(route, token)
    expect(answer.status, answer.text).toBe(403)
    expect(answer.body).toMatchObject({ code: 'forbidden', detail: 'this token is limited to other routes' })
    const entries = await entriesOf(purser, answer.headers.get('purser-request-id'))
    expect(entries).toMatchObject([
      { outcome: 'refused', reason: 'forbidden', actor: { operator: 'admin' }, detail: { route: name } },
    ])
  })

  it('is accepted there', async () => {
    for (const [path, token] of Object.entries(limited))
      expect((await purser.call('GET', `/api/v1/${path}`, undefined, { token })).status).toBe(200)
  })
})
