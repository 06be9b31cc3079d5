/** Parts that are not built yet (README.md): a request that needs one is refused, not silently fulfilled in part. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createIssuer, registerLab } from '../support/issuer.ts'
import { type TestPurser, startPurser } from '../support/purser.ts'

describe('a part that is not built yet', () => {
  let purser: TestPurser
  let token = ''
  beforeAll(async () => {
    purser = await startPurser({ store: 'postgres' })
    const issuer = await createIssuer()
    await registerLab(purser, issuer)
    token = await issuer.token()
  })
  afterAll(() => purser.stop())
  const ask = (more: object) => purser.call('POST', '/api/v1/credentials', { proof: { kind: 'jwt', token }, ...more })

  it('is not refused if it is not requested', async () => {
    expect((await ask({ secrets: [], databases: [] })).status).toBe(200)
  })

  it.each(['/v1/sys/health'])('has no route: GET %s', async (path) => {
    const { status, body } = await purser.call('GET', path, undefined, { token: purser.admin })
    expect([status, body.code]).toEqual([404, 'not_found'])
  })

  it('is not among the features', async () => {
    const { body } = await purser.call('GET', '/api/v1/server')
    expect(body['features']).toEqual([
      'x509',
      'jwt',
      'access-token',
      'audit',
      'renewal',
      'secrets',
      'databases',
      'watch',
    ])
  })
})
