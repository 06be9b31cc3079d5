/**
 * HEAD on every route of the list: it reads nothing, records no read and moves no consumer (RFC 9110 section 9.3.2).
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Route } from '../../src/http/route-kinds.ts'
import { createClock } from '../support/clock.ts'
import { type Pod, createPods } from '../support/consumers.ts'
import { createAsk, readLog } from '../support/operator.ts'
import { type TestPurser, startPurser } from '../support/purser.ts'
import { type RawAnswer, ask } from '../support/raw-http.ts'
import { routes } from '../support/route-list.ts'

const clock = createClock()
let purser: TestPurser
let pod: Pod
let token: string

/** A path that exists, for routes whose parameter may be anything. The others answer 404 to GET. */
const samples: Readonly<Record<string, string>> = { path: 'prod/db', name: 'shop', epoch: '1', index: '1', id: 'tok_x' }
const pathOf = ({ path }: Pick<Route, 'path'>): string =>
  path.replaceAll(/\{([^}]+)\}/g, (_, name: string) => samples[name] ?? 'x')

const isPublic = ({ permission, kind }: Route): boolean => permission === 'none' && kind === 'read'
const gets = routes.filter(({ method }) => method === 'GET')
const head = (path: string, bearer?: string): Promise<RawAnswer> =>
  ask(purser.url, `HEAD ${path} HTTP/1.1`, bearer === undefined ? [] : [`Authorization: Bearer ${bearer}`])

beforeAll(async () => {
  purser = await startPurser({
    store: 'postgres',
    now: clock.now,
    env: { PURSER_LIMIT_REFUSALS_PER_MINUTE: '100000', PURSER_LIMIT_ALL_REFUSALS_PER_MINUTE: '100000' },
  })
  const { start } = await createPods(purser, clock, ['pod-0'])
  pod = await start('pod-0')
  token = pod.token
})
afterAll(() => purser.stop())

describe('HEAD', () => {
  it.each(gets.filter((route) => !isPublic(route)).map((route) => [route.path, route] as const))(
    'is 405 and discloses nothing: %s',
    async (_, route) => {
      for (const bearer of [undefined, purser.admin, token]) {
        const answer = await head(pathOf(route), bearer)
        expect(answer).toMatchObject({ status: 405, text: '' })
        const allow = (answer.headers.get('allow') ?? '').split(', ')
        expect(allow).toContain('GET')
        expect(allow).not.toContain('HEAD')
        expect(answer.headers.get('content-type')).toBe('application/problem+json')
        for (const name of ['etag', 'purser-log-index']) expect(answer.headers.has(name), name).toBe(false)
      }
    },
  )

  it.each(gets.filter(isPublic).map((route) => [route.path, route] as const))(
    'is GET without its body: %s',
    async (_, route) => {
      const reference = await ask(purser.url, `GET ${pathOf(route)} HTTP/1.1`)
      const answer = await head(pathOf(route))
      expect(answer).toMatchObject({ status: reference.status, text: '' })
      for (const name of ['content-type', 'content-length', 'cache-control'])
        expect(answer.headers.get(name), name).toBe(reference.headers.get(name))
    },
  )

  it('is in Allow where it is served', async () => {
    const answer = await ask(purser.url, 'PUT /keys HTTP/1.1')
    expect(answer.status).toBe(405)
    expect(answer.headers.get('allow')).toBe('GET, HEAD')
  })

  it('is not recorded as a read', async () => {
    const granted = (await readLog(purser)).filter(({ action }) =>
      /^(?:secret|audit|workload|attestor|key|lease)\.(?:read|list|search|export|watch)$/.test(action),
    )
    expect(granted).toEqual([])
  })

  it('does not count as a fetch, so a rotation keeps waiting', async () => {
    const operator = createAsk(purser)
    await operator('putSecret', { name: 'prod/db', body: { data: { password: 'first-password' } }, ifMatch: 0 })
    const rotator = { kind: 'generated', fields: { password: { length: 32, alphabet: 'alphanumeric' } } }
    await operator('putRotationPolicy', { name: 'prod/db', body: { rotator }, ifMatch: 0 })
    expect((await pod.fetch()).status).toBe(200)
    await operator('rotateSecret', { name: 'prod/db', body: {} })
    clock.advance(1)
    await purser.runJobs()
    for (const path of ['prod/db', 'prod/db?version=2']) {
      expect((await head(`/api/v1/secrets/${path}`, token)).status).toBe(405)
    }
    clock.advance(60)
    await purser.runJobs()
    const { body } = await operator('getRotation', { name: 'prod/db' })
    expect(body).toMatchObject({ waitingFor: 1, rotation: { toVersion: 2, state: 'waiting' } })
    expect((await pod.fetch()).status).toBe(200)
    expect(pod.held()?.version).toBe(2)
  })
})
