/**
 * 50 workloads by 50 secrets: each may read and list exactly what its entry declares, by every route. The expected
 * result is computed here with regular expressions, not with the code under test.
 */
import { Agent } from 'node:https'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { watch } from '../support/event-stream.ts'
import { type Issuer, createIssuer, registerLab } from '../support/issuer.ts'
import { type TestPurser, startPurser } from '../support/purser.ts'

const size = 50
const numbers = Array.from({ length: size }, (_, n) => n)
const many = '100000'

/** Five teams of ten secrets, at different depths. */
const paths = numbers.map((n) => {
  const team = `team-${n % 5}`
  const name = `s${Math.floor(n / 5)}`
  return n % 3 === 0 ? `${team}/db/${name}` : n % 3 === 1 ? `${team}/${name}` : `${team}/api/eu/${name}`
})

type Action = 'read' | 'list' | 'watch'
type Declared = { paths: string[]; actions: Action[] }

/** Every kind of pattern, alone and combined; some entries grant nothing, or only missing paths. */
function grantsOf(n: number): Declared[] {
  const own = `team-${n % 5}`
  const kinds: Declared[][] = [
    [],
    [{ paths: [paths[n] ?? ''], actions: ['read', 'watch'] }],
    [{ paths: [`${own}/*`], actions: ['read', 'list'] }],
    [{ paths: [`${own}/**`], actions: ['list', 'watch'] }],
    [{ paths: [`${own}/db/*`, `${own}/api/**`], actions: ['read'] }],
    [{ paths: [`*/db/s${n % 10}`], actions: ['read', 'list', 'watch'] }],
    [{ paths: ['*/*/*/*'], actions: ['read'] }],
    [
      { paths: [`${own}/**`], actions: ['read'] },
      { paths: ['*/db/*'], actions: ['list'] },
    ],
    [{ paths: ['{oidc:sub}/**', 'team-9/**'], actions: ['read', 'list'] }],
    [{ paths: [`${own}/d/*`, `${own}/db`, 'team-/**', 'eam-0/*'], actions: ['read', 'list'] }],
  ]
  return kinds[n % kinds.length] ?? []
}

const pattern = (text: string): RegExp =>
  new RegExp(
    `^${text
      .split('/')
      .map((part) => (part === '**' ? '.+' : part === '*' ? '[^/]+' : part.replaceAll(/[.{}]/g, '\\$&')))
      .join('/')}$`,
  )
const declared = (n: number, action: Action): string[] =>
  paths.filter((path) =>
    grantsOf(n).some((grant) => grant.actions.includes(action) && grant.paths.some((text) => pattern(text).test(path))),
  )

let purser: TestPurser
let issuer: Issuer
const tokens: string[] = []
const clients: { key: string; cert: string }[] = []

beforeAll(async () => {
  const limits = {
    PURSER_LIMIT_ADDRESS_PER_SECOND: many,
    PURSER_LIMIT_ATTESTOR_PER_SECOND: many,
    PURSER_LIMIT_REFUSALS_PER_MINUTE: many,
  }
  purser = await startPurser({ store: 'postgres', tls: true, env: limits })
  issuer = await createIssuer()
  await registerLab(purser, issuer)
  for (const path of paths)
    await purser.asAdmin('PUT', `/api/v1/secrets/${path}`, { data: { path } }, { 'if-match': '"0"' })
  for (const n of numbers) {
    await purser.asAdmin('POST', '/api/v1/workloads', {
      name: `w${n}`,
      attestor: 'lab',
      match: { 'oidc:sub': `w${n}` },
      spiffeId: `spiffe://example.org/lab/w${n}`,
      grants: { x509: {}, secrets: grantsOf(n) },
      maxSessionSeconds: 7200,
    })
    const { body } = await attest(n, { accessToken: {}, x509: { generateKey: 'EC-P256' } })
    const { accessToken, x509 } = body as Record<string, Record<string, string>>
    tokens.push(accessToken?.['token'] ?? '')
    clients.push({ key: x509?.['privateKey'] ?? '', cert: x509?.['certificateChain'] ?? '' })
  }
}, 120_000)
afterAll(() => purser.stop())

const attest = async (n: number, request: object) =>
  purser.call('POST', '/api/v1/credentials', {
    proof: { kind: 'jwt', token: await issuer.token({ sub: `w${n}` }) },
    ...request,
  })

/** The paths of the returned values, each checked to have its own value. */
function pathsOf(body: Record<string, unknown>): string[] {
  const values = (body['secrets'] ?? []) as { path: string; data: { path: string } }[]
  for (const value of values) expect(value.data.path).toBe(value.path)
  return values.map((value) => value.path)
}

const asOptional = paths.map((path) => ({ path, optional: true }))

describe('each of 2,500 cells', () => {
  it('has grants of every kind, and some paths are allowed and some refused', () => {
    const counts = numbers.map((n) => declared(n, 'read').length)
    expect(Math.min(...counts)).toBe(0)
    expect(Math.max(...counts)).toBeGreaterThan(5)
    expect(counts.reduce((a, b) => a + b)).toBeLessThan(size * size)
  })

  it('is read as declared with the credentials', async () => {
    for (const n of numbers) {
      const { status, body } = await attest(n, { secrets: asOptional })
      expect([n, status, pathsOf(body)]).toEqual([n, 200, declared(n, 'read')])
    }
  })

  it('is read as declared with an access token, many at once and one by one', async () => {
    const agent = new Agent({ keepAlive: true })
    for (const n of numbers) {
      const options = { token: tokens[n] ?? '', agent }
      const { body } = await purser.call('POST', '/api/v1/secrets:read', { secrets: asOptional }, options)
      expect([n, pathsOf(body)]).toEqual([n, declared(n, 'read')])
      const allowed = new Set(declared(n, 'read'))
      const answers = await Promise.all(
        paths.map(async (path) => [
          path,
          (await purser.call('GET', `/api/v1/secrets/${path}`, undefined, options)).status,
        ]),
      )
      expect([n, answers]).toEqual([n, paths.map((path) => [path, allowed.has(path) ? 200 : 403])])
    }
    agent.destroy()
  }, 120_000)

  it('is read as declared with a client certificate', async () => {
    for (const n of numbers) {
      const client = clients[n]
      const { body } = await purser.call(
        'POST',
        '/api/v1/secrets:read',
        { secrets: asOptional },
        { ...(client && { client }) },
      )
      expect([n, pathsOf(body)]).toEqual([n, declared(n, 'read')])
    }
  })

  it('is listed as declared', async () => {
    for (const n of numbers) {
      const { body } = await purser.call('GET', '/api/v1/secrets?limit=200', undefined, { token: tokens[n] ?? '' })
      const paths = (body['items'] as { path: string }[]).map((item) => item.path)
      expect([n, paths]).toEqual([n, declared(n, 'list').toSorted()])
    }
  })

  it('is watched as declared, under a prefix and one by one', async () => {
    for (const n of numbers) {
      const options = { token: tokens[n] ?? '' }
      const mayWatch = grantsOf(n).some((grant) => grant.actions.includes('watch'))
      if (!mayWatch) {
        const { status, body } = await purser.call('GET', '/api/v1/watch?prefix=team', undefined, options)
        expect([n, status, body.code]).toEqual([n, 403, 'not_granted'])
        continue
      }
      const allowed = declared(n, 'watch')
      const stream = await watch(purser, '?prefix=team', options)
      await vi.waitFor(() => expect(stream.events.map(({ name }) => name)).toContain('synced'), { timeout: 20_000 })
      const eventPaths = stream.events.filter(({ name }) => name === 'secret').map(({ data }) => data['path'])
      stream.cut()
      expect([n, eventPaths.map(String).toSorted()]).toEqual([n, allowed.toSorted()])
      const other = paths.find((path) => !allowed.includes(path)) ?? ''
      expect((await purser.call('GET', `/api/v1/watch?path=${other}`, undefined, options)).status).toBe(403)
    }
  })

  it('is refused as a whole if one of many is not granted', async () => {
    for (const n of numbers) {
      const allowed = declared(n, 'read')
      const other = paths.find((path) => !allowed.includes(path)) ?? ''
      const { status, body } = await attest(n, { secrets: [...allowed, other] })
      expect([n, status, body.code]).toEqual([n, 403, 'not_granted'])
      expect(body).not.toHaveProperty('secrets')
    }
  })
})
