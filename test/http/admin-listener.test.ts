/** `PURSER_ADMIN_LISTEN` is a boundary: the listener of workloads accepts no API token on any route. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { isForWorkloads } from '../../src/start/app.ts'
import { createIssuer, registerLab } from '../support/issuer.ts'
import { readLog } from '../support/operator.ts'
import { type TestPurser, startPurser, startReplica } from '../support/purser.ts'
import { routes } from '../support/route-list.ts'

const shared = routes.filter(isForWorkloads).filter(({ permission }) => permission !== 'none')
const pathOf = (path: string): string =>
  path.replace('/secrets/{path}', '/secrets/prod/db').replaceAll(/\{[^}]+\}/g, 'x')

describe('the listener of workloads, when operators have their own', () => {
  let first: TestPurser
  let purser: TestPurser
  let accessToken: string

  beforeAll(async () => {
    first = await startPurser({ store: 'postgres' })
    const issuer = await createIssuer()
    await registerLab(first, issuer)
    await first.asAdmin('PUT', '/api/v1/secrets/prod/db', { data: { password: 'swordfish' } }, { 'if-match': '"0"' })
    purser = await startReplica(first, { env: { PURSER_ADMIN_LISTEN: '127.0.0.1:0' } })
    const proof = { kind: 'jwt', token: await issuer.token() }
    const issued = await purser.call('POST', '/api/v1/credentials', { proof, accessToken: {} })
    accessToken = (issued.body.accessToken as { token: string }).token
  })
  afterAll(async () => {
    await purser.stop()
    await first.stop()
  })

  const askAt = (url: string, method: string, path: string, token: string) =>
    fetch(url + path, { method, headers: { authorization: `Bearer ${token}`, 'purser-reason': 'test' } })

  it.each(shared.map(({ method, path }) => [method, pathOf(path)]))(
    'refuses an API token: %s %s',
    async (method, path) => {
      const reply = await askAt(purser.url, method, path, purser.admin)
      const problem = (await reply.json()) as { code: string }
      // A body is validated before its caller.
      expect([reply.status, problem.code]).toEqual(
        reply.status === 401 ? [401, 'token_type'] : [expect.toBeOneOf([400, 415]), expect.not.stringMatching(/^$/)],
      )
    },
  )

  it('discloses no value, and records a refusal of the operator, not a read', async () => {
    const refused = await askAt(purser.url, 'GET', '/api/v1/secrets/prod/db', purser.admin)
    expect(refused.status).toBe(401)
    expect(await refused.text()).not.toContain('swordfish')
    const id = refused.headers.get('purser-request-id')
    const entries = (await readLog(first)).filter(({ requestId }) => requestId === id)
    expect(entries).toMatchObject([
      { outcome: 'refused', reason: 'token_type', actor: { kind: 'operator', operator: 'admin' } },
    ])
  })

  it('refuses an API token like one that was never issued', async () => {
    const unknown = `purser_api_${Buffer.alloc(32, 9).toString('base64url')}`
    const replies = [purser.admin, unknown].map((token) => askAt(purser.url, 'GET', '/api/v1/credentials/self', token))
    const [first, second] = await Promise.all(replies)
    expect([first?.status, second?.status]).toEqual([401, 401])
    expect(await second?.json()).toMatchObject({ code: 'token_type' })
  })

  it('serves workloads, and the listener of operators serves API tokens', async () => {
    expect((await askAt(purser.url, 'GET', '/api/v1/credentials/self', accessToken)).status).toBe(200)
    const admin = purser.adminUrl ?? ''
    expect((await askAt(admin, 'GET', '/api/v1/secrets/prod/db', purser.admin)).status).toBe(200)
    expect((await askAt(admin, 'GET', '/api/v1/workloads', purser.admin)).status).toBe(200)
    expect((await askAt(purser.url, 'GET', '/api/v1/workloads', purser.admin)).status).toBe(404)
  })
})
